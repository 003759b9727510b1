//! What a sandbox sends is taken for what it is: words from a place where anything may run.
//!
//! Only the kinds of events that an agent may send come through, only under the turn's own names,
//! and none larger than a viewer's connection carries.

use sandbox_sdk::types::{
    Event, EventBody, InteractionAsked, InteractionCancelled, Part, PartBody, PartUpdated,
    ReasoningPart, TextPart, ToolState, TurnError, TurnState, cancel_reason, event_type,
};
use serde_json::{Value, json};

use crate::sidecar::{AGENT_FINISHED, AgentFinished};

/// Largest text in one event, in bytes. Longer deltas are split; as JSON it may be six times as much.
pub(super) const MAX_TEXT: usize = 16 * 1024;
/// Largest event, in bytes of JSON.
pub(super) const MAX_EVENT: usize = 128 * 1024;
/// Longest message of an error.
pub(super) const MAX_MESSAGE: usize = 4096;
/// What the ids of requests to people begin with; the turn's follows.
pub(super) const REQUEST_PREFIX: &str = "int_";
/// Longest id that the agent may give to a piece.
const MAX_ID: usize = 128;
/// Longest string in the input or the output of a tool whose event would be too large.
const MAX_OUTPUT: usize = 8 * 1024;

/// What came from the agent.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    Updates(Vec<PartUpdated>),
    /// It asks a person, and waits.
    Asks(Box<InteractionAsked>),
    /// It waits no longer.
    Withdraws(InteractionCancelled),
    /// Goes into the log as it is.
    Notice(Event),
    /// Told at the turn's end, if it fails.
    Error(TurnError),
    Finished(TurnState),
    Nothing,
}

/// The names under which a turn's events stand in the log.
#[derive(Clone, Debug)]
pub(super) struct Names {
    session_id: String,
    message_id: String,
    part_prefix: String,
    request_prefix: String,
}

impl Names {
    pub(super) fn new(session_id: &str, turn_id: &str) -> Self {
        Self {
            session_id: session_id.to_owned(),
            message_id: format!("msg_{turn_id}"),
            part_prefix: format!("prt_{turn_id}_"),
            request_prefix: format!("{REQUEST_PREFIX}{turn_id}_"),
        }
    }

    pub(super) fn owns(&self, message_id: &str) -> bool {
        message_id == self.message_id
    }

    /// Reads an event of the agent.
    pub(super) fn read(&self, event: Event) -> Word {
        match (event.kind.as_str(), event.body()) {
            (event_type::PART_UPDATED, EventBody::PartUpdated(mut update)) => {
                // Only the orchestrator knows what a person said.
                if matches!(update.part.body, PartBody::Interaction(_)) {
                    return Word::Nothing;
                }
                self.adopt(&mut update.part);
                Word::Updates(fit(*update))
            }
            (event_type::INTERACTION, EventBody::Interaction(asked)) => self.asked(asked),
            (event_type::INTERACTION_CANCEL, EventBody::InteractionCancelled(cancelled)) => {
                Word::Withdraws(self.cancelled(cancelled))
            }
            (event_type::STATUS, EventBody::Status(_)) if is_small(&event) => Word::Notice(event),
            (event_type::WARNING, _) if is_small(&event) => Word::Notice(event),
            (event_type::ERROR, EventBody::Error(error)) => Word::Error(shorten_error(error)),
            (AGENT_FINISHED, _) => {
                let end = serde_json::from_value::<AgentFinished>(event.data.into());
                Word::Finished(end.map_or(TurnState::Failed, |end| end.outcome))
            }
            (kind, _) => {
                tracing::debug!(kind, "event of an agent not taken");
                Word::Nothing
            }
        }
    }

    /// A part belongs to this turn's message whatever it says, and its id is unique in the session.
    fn adopt(&self, part: &mut Part) {
        part.session_id.clone_from(&self.session_id);
        part.message_id.clone_from(&self.message_id);
        prefix(&mut part.id, &self.part_prefix);
    }

    /// A request under the turn's own names. What nobody could answer is not asked.
    fn asked(&self, mut asked: Box<InteractionAsked>) -> Word {
        asked.session_id.clone_from(&self.session_id);
        asked.message_id.clone_from(&self.message_id);
        asked.extra.clear();
        prefix(&mut asked.request.id, &self.request_prefix);
        let size = serde_json::to_string(&asked).map_or(usize::MAX, |json| json.len());
        if size > MAX_EVENT || !asked.request.is_answerable() {
            tracing::warn!(size, "a request to a person that nobody could answer, not taken");
            return Word::Nothing;
        }
        Word::Asks(asked)
    }

    fn cancelled(&self, cancelled: InteractionCancelled) -> InteractionCancelled {
        let mut id = cancelled.id;
        prefix(&mut id, &self.request_prefix);
        let reason = match cancelled.reason.as_deref() {
            Some(cancel_reason::EXPIRED) => cancel_reason::EXPIRED,
            Some(cancel_reason::GRANTED) => cancel_reason::GRANTED,
            _ => cancel_reason::WITHDRAWN,
        };
        InteractionCancelled { id, reason: Some(reason.to_owned()), extra: Default::default() }
    }
}

/// Makes an id of the agent's unique in the session.
fn prefix(id: &mut String, prefix: &str) {
    if !id.starts_with(prefix) {
        let own: String = id.chars().take(MAX_ID).collect();
        *id = format!("{prefix}{own}");
    }
}

/// The same update in pieces that can be sent.
fn fit(mut update: PartUpdated) -> Vec<PartUpdated> {
    if is_sendable(&update) {
        return vec![update];
    }
    // Fields that this version does not know may be of any size.
    update.extra.clear();
    let delta = update.delta.take().filter(|delta| !delta.is_empty());
    if let (Some(delta), PartBody::Text(_) | PartBody::Reasoning(_)) = (delta, &update.part.body) {
        // Pieces of a delta need nothing of the part but its name and type.
        update.part.body = match update.part.body {
            PartBody::Reasoning(ReasoningPart { time, .. }) => {
                PartBody::Reasoning(ReasoningPart { time, ..ReasoningPart::default() })
            }
            _ => PartBody::Text(TextPart::default()),
        };
        let pieces = pieces(&delta);
        let piece = |text: &str| PartUpdated { delta: Some(text.to_owned()), ..update.clone() };
        return pieces.map(piece).collect();
    }
    match &mut update.part.body {
        PartBody::Text(part) => {
            part.extra.clear();
            shorten(&mut part.text, MAX_TEXT);
        }
        PartBody::Reasoning(part) => {
            part.extra.clear();
            shorten(&mut part.text, MAX_TEXT);
        }
        PartBody::Tool(part) => match &mut part.state {
            ToolState::Pending { input } | ToolState::Running { input, .. } => shorten_value(input),
            ToolState::Completed { input, output, .. } => {
                shorten_value(input);
                shorten_value(output);
            }
            ToolState::Error { input, output, error, .. } => {
                shorten_value(input);
                shorten_value(output);
                error.iter_mut().for_each(|text| shorten(text, MAX_OUTPUT));
            }
        },
        _ => {}
    }
    if is_sendable(&update) {
        return vec![update];
    }
    tracing::warn!(part = update.part.id, "part larger than an event may be, not taken");
    Vec::new()
}

fn is_sendable(update: &PartUpdated) -> bool {
    serde_json::to_string(update).is_ok_and(|json| json.len() <= MAX_EVENT)
}

/// Splits between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(MAX_TEXT));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Cuts a text that is longer than `max` bytes, and says in it how much is missing.
pub(crate) fn shorten(text: &mut String, max: usize) {
    if text.len() > max {
        let dropped = text.len() - text.floor_char_boundary(max);
        text.truncate(text.floor_char_boundary(max));
        text.push_str(&format!("\n… ({dropped} more bytes)"));
    }
}

/// Shortens the strings that a tool's input or output is made of.
fn shorten_value(value: &mut Value) {
    match value {
        Value::String(text) => shorten(text, MAX_OUTPUT),
        Value::Array(items) => items.iter_mut().for_each(shorten_value),
        Value::Object(fields) => fields.values_mut().for_each(shorten_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shorten_error(mut error: TurnError) -> TurnError {
    shorten(&mut error.message, MAX_MESSAGE);
    error.code = error.code.filter(|code| code.len() <= 64);
    error.extra.clear();
    error
}

fn is_small(event: &Event) -> bool {
    json!(event.data).to_string().len() <= MAX_TEXT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("s1", "t1")
    }

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    fn updates(value: Value) -> Vec<PartUpdated> {
        match names().read(event(value)) {
            Word::Updates(updates) => updates,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_part_comes_under_the_names_of_the_turn_whatever_it_says() {
        let part = json!({"id": "x", "sessionID": "s2", "messageID": "msg_t2", "type": "text", "text": "a"});
        let update = updates(json!({"type": "message.part.updated", "data": {"part": part}}));
        let part = &update[0].part;
        assert_eq!(
            (part.id.as_str(), part.session_id.as_str(), part.message_id.as_str()),
            ("prt_t1_x", "s1", "msg_t1")
        );
    }

    fn asks(request: Value) -> Word {
        let data = json!({"request": request, "sessionID": "s2", "messageID": "m2", "x": 1});
        names().read(event(json!({"type": "interaction", "data": data})))
    }

    #[test]
    fn a_request_comes_under_the_names_of_the_turn_and_can_be_answered() {
        let Word::Asks(asked) = asks(json!({"id": "x", "title": "?"})) else { panic!() };
        assert_eq!(
            (asked.request.id.as_str(), asked.session_id.as_str(), asked.message_id.as_str()),
            ("int_t1_x", "s1", "msg_t1")
        );
        assert!(asked.extra.is_empty());
        let field = |key: &str| json!({"key": key, "kind": "text"});
        for request in [
            json!({"id": "x", "answerSpec": {"fields": [field("__proto__")]}}),
            json!({"id": "x", "answerSpec": {"fields": [field("a"), field("a")]}}),
            json!({"id": "x", "allowedOutcomes": []}),
            json!({"id": "x", "body": "x".repeat(MAX_EVENT)}),
        ] {
            assert_eq!(asks(request.clone()), Word::Nothing, "{}", &request.to_string()[..40]);
        }
    }

    #[test]
    fn an_agent_waits_no_longer_only_in_words_that_are_its_own_to_say() {
        for (said, told) in [("expired", "expired"), ("aborted", "withdrawn"), ("x", "withdrawn")] {
            let cancel = json!({"type": "interaction.cancel", "data": {"id": "x", "reason": said}});
            let Word::Withdraws(cancelled) = names().read(event(cancel)) else { panic!() };
            let reason = cancelled.reason.as_deref();
            assert_eq!((cancelled.id.as_str(), reason), ("int_t1_x", Some(told)));
        }
    }

    #[test]
    fn events_that_only_the_orchestrator_may_write_are_not_taken() {
        for kind in
            ["result", "interaction.resolved", "done", "execution.started", "container.removed", ""]
        {
            let data = json!({"outcome": "completed", "executionId": "t1", "finalText": "x",
                "id": "int_t1_x", "status": "accepted"});
            assert_eq!(names().read(event(json!({"type": kind, "data": data}))), Word::Nothing);
        }
        let request = json!({"id": "int_t1_x", "kind": "permission", "title": "May I?"});
        for status in ["accepted", "pending"] {
            let part = json!({"id": "x", "type": "interaction", "request": request,
                "status": status, "answer": {"grant": "allow_session"}});
            let data = json!({"type": "message.part.updated", "data": {"part": part}});
            assert_eq!(names().read(event(data)), Word::Nothing, "{status}");
        }
    }

    #[test]
    fn a_huge_delta_comes_whole_but_in_pieces() {
        let delta = "ä".repeat(300_000);
        let part = json!({"id": "x", "type": "text", "text": ""});
        let data = json!({"part": part, "delta": delta});
        let updates = updates(json!({"type": "message.part.updated", "data": data}));
        assert!(updates.len() > 1);
        let whole: String = updates.iter().filter_map(|update| update.delta.clone()).collect();
        assert_eq!(whole, delta);
        for update in updates {
            assert!(serde_json::to_string(&update).unwrap().len() <= MAX_EVENT);
        }
    }

    #[test]
    fn pieces_of_a_delta_carry_nothing_else_that_is_huge() {
        let padding = "x".repeat(MAX_EVENT);
        for kind in ["text", "reasoning"] {
            let part = json!({"id": "x", "type": kind, "text": padding, "pad": padding});
            let data = json!({"part": part, "delta": "y".repeat(40_000), "pad": padding});
            let updates = updates(json!({"type": "message.part.updated", "data": data}));
            let whole: String = updates.iter().filter_map(|update| update.delta.clone()).collect();
            assert_eq!(whole, "y".repeat(40_000));
            assert!(updates.iter().all(is_sendable));
        }
    }

    #[test]
    fn a_huge_tool_output_is_cut_and_says_so() {
        let state =
            json!({"status": "completed", "input": {}, "output": {"stdout": "x".repeat(1 << 20)}});
        let part = json!({"id": "x", "type": "tool", "tool": "bash", "state": state});
        let updates = updates(json!({"type": "message.part.updated", "data": {"part": part}}));
        let json = serde_json::to_string(&updates[0]).unwrap();
        assert!(json.len() <= MAX_EVENT && json.contains("more bytes)"), "{}", json.len());
    }

    #[test]
    fn a_huge_tool_input_is_cut_in_every_state() {
        let input = json!({"content": "x".repeat(1 << 20)});
        for state in ["pending", "running", "completed", "error"] {
            let state = json!({"status": state, "input": input, "output": "done"});
            let part = json!({"id": "x", "type": "tool", "tool": "write", "state": state});
            let updates = updates(json!({"type": "message.part.updated", "data": {"part": part}}));
            assert_eq!(updates.len(), 1);
            let json = serde_json::to_string(&updates[0]).unwrap();
            assert!(json.len() <= MAX_EVENT && json.contains("more bytes)"), "{}", json.len());
        }
    }

    #[test]
    fn an_end_without_a_known_outcome_is_a_failure() {
        let end = |outcome| {
            names().read(event(json!({"type": AGENT_FINISHED, "data": {"outcome": outcome}})))
        };
        assert_eq!(end(json!("completed")), Word::Finished(TurnState::Completed));
        assert_eq!(end(json!({"a": 1})), Word::Finished(TurnState::Failed));
    }
}
