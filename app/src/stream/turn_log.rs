//! One turn, put together from the events of its session.

use std::collections::BTreeSet;

use sandbox_sdk::transcript::{Change, Transcript};
use sandbox_sdk::types::{Event, EventBody};

use crate::model::ReportedUsage;

/// The parts of a turn's answer so far. Events of other turns pass by.
#[derive(Debug, Default)]
pub(super) struct TurnLog {
    turn_id: String,
    message_id: String,
    transcript: Transcript,
    changed: BTreeSet<usize>,
    reported: ReportedUsage,
}

/// What an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Parts changed: show them with the next frame.
    Show,
    /// The turn has ended.
    Finish,
}

impl TurnLog {
    pub(super) fn new(turn_id: &str) -> Self {
        Self {
            turn_id: turn_id.to_owned(),
            message_id: format!("msg_{turn_id}"),
            ..Self::default()
        }
    }

    pub(super) fn apply(&mut self, event: &Event) -> Next {
        match event.body() {
            EventBody::PartUpdated(update) if update.part.message_id == self.message_id => {
                let change = self.transcript.apply(*update);
                self.noted(change)
            }
            // A service that does not say whose it is, says it of the turn that runs.
            EventBody::Interaction(asked)
                if asked.message_id.is_empty() || asked.message_id == self.message_id =>
            {
                let change = self.transcript.ask(*asked);
                self.noted(change)
            }
            EventBody::InteractionResolved(resolved) => {
                let change = self.transcript.resolve(resolved);
                self.noted(change)
            }
            EventBody::InteractionCancelled(cancelled) => {
                let change = self.transcript.cancel(cancelled);
                self.noted(change)
            }
            EventBody::Done(done) if done.turn_id == self.turn_id => {
                self.reported.input_tokens = Some(done.token_usage.input_tokens);
                self.reported.output_tokens = Some(done.token_usage.output_tokens);
                Next::Finish
            }
            _ => Next::Nothing,
        }
    }

    fn noted(&mut self, change: Change) -> Next {
        match change {
            Change::Added(at) | Change::Grew(at) | Change::Replaced(at) => {
                self.changed.insert(at);
                Next::Show
            }
            Change::None => Next::Nothing,
        }
    }

    #[cfg(feature = "hydrate")]
    pub(super) fn parts(&self) -> &[sandbox_sdk::types::Part] {
        self.transcript.parts()
    }

    /// Places of the parts that changed since the last call, in order.
    pub(super) fn take_changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn reported(&self) -> ReportedUsage {
        self.reported
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: serde_json::Value) -> Event {
        serde_json::from_value(json!({"type": kind, "data": data})).unwrap()
    }

    fn delta(message_id: &str, text: &str) -> Event {
        let part = json!({"id": "p1", "messageID": message_id, "type": "text", "text": ""});
        event("message.part.updated", json!({"part": part, "delta": text}))
    }

    #[test]
    fn deltas_of_this_turn_are_shown_and_others_are_not() {
        let mut log = TurnLog::new("t1");
        assert_eq!(log.apply(&delta("msg_t1", "a")), Next::Show);
        assert_eq!(log.apply(&delta("msg_t0", "b")), Next::Nothing);
        assert_eq!(log.apply(&delta("msg_t1", "c")), Next::Show);
        assert_eq!(log.take_changed(), [0].into());
        assert_eq!(log.take_changed(), [].into());
        assert_eq!(log.transcript.text(), "ac");
    }

    #[test]
    fn what_is_asked_becomes_a_part_and_its_end_changes_it() {
        let mut log = TurnLog::new("t1");
        let asked = |id: &str, message: &str| {
            let request = json!({"id": id, "kind": "question", "title": "Which?"});
            event("interaction", json!({"request": request, "messageID": message}))
        };
        let answered =
            |id: &str| event("interaction.resolved", json!({"id": id, "status": "accepted"}));
        assert_eq!(log.apply(&asked("old", "msg_t0")), Next::Nothing);
        assert_eq!(log.apply(&asked("a", "msg_t1")), Next::Show);
        assert_eq!(log.apply(&asked("b", "")), Next::Show);
        assert_eq!(log.take_changed(), [0, 1].into());
        assert_eq!(log.apply(&answered("old")), Next::Nothing);
        assert_eq!(log.apply(&answered("a")), Next::Show);
        assert_eq!(log.apply(&event("interaction.cancel", json!({"id": "b"}))), Next::Show);
        assert_eq!(log.take_changed(), [0, 1].into());
    }

    #[test]
    fn only_its_own_end_finishes_the_turn() {
        let mut log = TurnLog::new("t1");
        let done = |turn: &str| {
            let used = json!({"inputTokens": 3, "outputTokens": 5});
            event("done", json!({"turnId": turn, "outcome": "completed", "tokenUsage": used}))
        };
        assert_eq!(log.apply(&done("t0")), Next::Nothing);
        assert_eq!(log.apply(&done("t1")), Next::Finish);
        assert_eq!(log.reported().input_tokens, Some(3));
        assert_eq!(log.reported().output_tokens, Some(5));
    }

    #[test]
    fn an_event_that_is_not_understood_passes_by() {
        let mut log = TurnLog::new("t1");
        assert_eq!(log.apply(&event("weather", json!({"sun": true}))), Next::Nothing);
        assert_eq!(log.apply(&event("message.part.updated", json!({"part": 1}))), Next::Nothing);
    }
}
