//! How far a running turn has come, and what the agent's words make of it.

use sandbox_sdk::types::{Event, PartUpdated, TurnError, TurnState, event_type};

use super::{Turn, interactions::Inquiries};
use crate::{
    sidecar::SidecarError,
    turns::{
        ingest::{Names, Word},
        meter::Message,
        outcome::Outcome,
    },
};

/// Output tokens of a turn whose dispatch names no limit.
const MAX_OUTPUT_TOKENS: u64 = 1_000_000;
/// Bytes of events that a turn may leave in the log, whatever they are.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// What a status or a warning counts for: the most it may have is not much more.
pub(super) const NOTICE_BYTES: usize = 1024;

/// What comes from an agent: an event, or the end of the line.
pub(super) type Said = Result<Event, SidecarError>;

/// How far a running turn has come.
pub(super) struct Progress {
    names: Names,
    pub(super) message: Message,
    /// What of it waits for a person, and the answers.
    pub(super) inquiries: Inquiries,
    max_output: u64,
    error: Option<TurnError>,
    pub(super) finished: Option<TurnState>,
    pub(super) bytes: usize,
    /// What the turn has to end with, because it went too far.
    pub(super) exceeded: Option<Outcome>,
    /// It went too far: nothing more is taken, however small.
    pub(super) full: bool,
    /// The agent was silent all at once, and nobody had told it to be.
    pub(super) broke_off: bool,
}

impl Progress {
    pub(super) fn new(names: Names, max_output: Option<u64>, inquiries: Inquiries) -> Self {
        Self {
            names,
            message: Message::default(),
            inquiries,
            max_output: max_output.unwrap_or(MAX_OUTPUT_TOKENS),
            error: None,
            finished: None,
            bytes: 0,
            exceeded: None,
            full: false,
            broke_off: false,
        }
    }

    /// Turns what the agent said into events of the log.
    pub(super) fn take_chunk(&mut self, turn: &Turn, chunk: Vec<Said>) -> Vec<Event> {
        let mut events = Vec::with_capacity(chunk.len());
        for said in chunk {
            match said {
                Ok(event) => self.take(event, &mut events),
                Err(error) => {
                    tracing::warn!(turn = turn.id, %error, "agent stream broke off");
                    self.error.get_or_insert_with(agent_died);
                }
            }
        }
        events
    }

    fn take(&mut self, event: Event, events: &mut Vec<Event>) {
        if self.finished.is_some() {
            return;
        }
        match self.names.read(event) {
            Word::Updates(updates) => {
                for update in updates {
                    self.take_update(update, events);
                }
            }
            Word::Asks(asked) => self.take_request(*asked, events),
            Word::Withdraws(cancelled) => self.take_cancel(cancelled, events),
            Word::Notice(event) if self.bytes < MAX_BYTES => {
                self.bytes += NOTICE_BYTES;
                events.push(event);
            }
            Word::Notice(_) => {}
            Word::Error(error) => self.error = Some(error),
            Word::Finished(state) => self.finished = Some(state),
            Word::Nothing => {}
        }
    }

    fn take_update(&mut self, update: PartUpdated, events: &mut Vec<Event>) {
        if self.full {
            return;
        }
        let size = serde_json::to_string(&update).map_or(0, |json| json.len());
        let Ok(event) = Event::new(event_type::PART_UPDATED, &update) else { return };
        if self.bytes + size > MAX_BYTES {
            self.exceeded = Some(Outcome::failed("TURN_TOO_LARGE", "The turn produced too much."));
        } else if self.message.take(update, self.max_output) {
            self.bytes += size;
            events.push(event);
        } else {
            self.exceeded = Some(out_of_credits());
        }
        self.full = self.exceeded.is_some();
    }

    /// How the turn ended, once the agent is silent. `asked`: what it was told to end with.
    pub(super) fn outcome(&mut self, asked: Option<Outcome>) -> Outcome {
        match (self.finished, asked) {
            // Ready before it heard that it should stop.
            (Some(TurnState::Completed), None) => Outcome::of_agent(TurnState::Completed, None),
            (Some(TurnState::Completed), Some(asked)) if asked.state == TurnState::Aborted => {
                Outcome::of_agent(TurnState::Completed, None)
            }
            (_, Some(asked)) => asked,
            (finished, None) => {
                let error = self.error.take().or_else(|| match finished {
                    Some(_) => Outcome::failed("AGENT_FAILED", "The agent failed.").error,
                    None => Some(agent_died()),
                });
                Outcome::of_agent(TurnState::Failed, error)
            }
        }
    }
}

pub(super) fn out_of_credits() -> Outcome {
    Outcome::failed("OUT_OF_CREDITS", "The turn used up what was set aside for it.")
}

fn agent_died() -> TurnError {
    TurnError {
        message: "The agent ended unexpectedly.".to_owned(),
        code: Some("AGENT_DIED".to_owned()),
        extra: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::inquiries, *};
    use crate::turns::posture::Posture;

    #[test]
    fn once_a_piece_was_too_much_no_smaller_one_is_taken() {
        let mut progress =
            Progress::new(Names::new("s", "t"), Some(3), inquiries(Posture::default()).0);
        let mut events = Vec::new();
        let mut take = |text: String| {
            let data = json!({"part": {"id": "a", "type": "text", "text": ""}, "delta": text});
            let event = json!({"type": "message.part.updated", "data": data});
            progress.take(serde_json::from_value(event).unwrap(), &mut events);
            progress.exceeded.take().is_some()
        };
        assert!(!take("12345678".to_owned()));
        assert!(take("x".repeat(100)));
        assert!(!take("1".to_owned()), "it would fit, but is not looked at");
        assert_eq!((events.len(), progress.message.text().as_str()), (1, "12345678"));
    }
}
