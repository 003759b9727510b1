//! Puts a turn's message together and counts what it cost.
//!
//! For agents without a model behind them a token is four bytes: of the prompt for the input, of
//! text, reasoning and tool inputs for the output. What an agent reports of itself is never counted.

use std::collections::HashMap;

use sandbox_sdk::{
    transcript::{Change, Transcript},
    types::{
        Event, Extra, InteractionAsked, InteractionCancelled, InteractionPart, InteractionRequest,
        InteractionResolved, InteractionStatus, Part, PartBody, PartUpdated, event_type,
    },
};
use serde_json::Value;

const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of a prompt.
pub(super) fn prompt_tokens(prompt: &str) -> u64 {
    (prompt.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

/// The message of a turn as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Message {
    transcript: Transcript,
    parts: HashMap<String, Counted>,
    output_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// How long the part's text is now.
    length: u64,
    /// How long it ever was: what was said once is said, also when a snapshot takes it back.
    counted: u64,
}

impl Message {
    /// Takes an update, unless the output would grow beyond the limit (in tokens) by it.
    pub(super) fn take(&mut self, update: PartUpdated, max_output: u64) -> bool {
        let PartUpdated { part: Part { id, body, .. }, delta, .. } = &update;
        let delta = delta.as_deref();
        let mut part = self.parts.get(id).copied().unwrap_or_default();
        // What the transcript makes of the update is what counts.
        part.length = match self.transcript.preview(&update) {
            Change::Added(_) => length(body).max(match body {
                PartBody::Text(_) | PartBody::Reasoning(_) => delta.map_or(0, bytes),
                _ => 0,
            }),
            Change::Grew(_) => part.length + delta.map_or(0, bytes),
            Change::Replaced(_) => length(body),
            Change::None => part.length,
        };
        let growth = part.length.saturating_sub(part.counted);
        let output_bytes = self.output_bytes + growth;
        if growth > 0 && output_bytes.div_ceil(BYTES_PER_TOKEN) > max_output {
            return false;
        }
        part.counted += growth;
        self.output_bytes = output_bytes;
        self.parts.insert(id.clone(), part);
        self.transcript.apply(update);
        true
    }

    /// The agent asks. That costs nothing.
    pub(super) fn ask(&mut self, asked: InteractionAsked) {
        self.transcript.ask(asked);
    }

    pub(super) fn resolve(&mut self, resolved: InteractionResolved) {
        self.transcript.resolve(resolved);
    }

    pub(super) fn cancel(&mut self, cancelled: InteractionCancelled) {
        self.transcript.cancel(cancelled);
    }

    /// Takes back what still waits for a person. Events that say so.
    pub(super) fn cancel_open(&mut self, reason: &str) -> Vec<Event> {
        let ids: Vec<String> = self.open_requests().map(|request| request.id.clone()).collect();
        let cancelled = ids.into_iter().filter_map(|id| {
            let reason = Some(reason.to_owned());
            let cancelled = InteractionCancelled { id, reason, extra: Extra::new() };
            let event = Event::new(event_type::INTERACTION_CANCEL, &cancelled).ok();
            self.transcript.cancel(cancelled);
            event
        });
        cancelled.collect()
    }

    /// What waits for a person, oldest first.
    pub(super) fn open_requests(&self) -> impl Iterator<Item = &InteractionRequest> {
        let open = |part: &&InteractionPart| part.status == InteractionStatus::Pending;
        self.interactions().filter(open).map(|part| &part.request)
    }

    pub(super) fn open_request(&self, id: &str) -> Option<&InteractionRequest> {
        self.open_requests().find(|request| request.id == id)
    }

    pub(super) fn has_interaction(&self, id: &str) -> bool {
        self.interactions().any(|part| part.request.id == id)
    }

    fn interactions(&self) -> impl Iterator<Item = &InteractionPart> {
        self.transcript.parts().iter().filter_map(|part| match &part.body {
            PartBody::Interaction(interaction) => Some(&**interaction),
            _ => None,
        })
    }

    pub(super) fn output_tokens(&self) -> u64 {
        self.output_bytes.div_ceil(BYTES_PER_TOKEN)
    }

    pub(super) fn text(&self) -> String {
        self.transcript.text()
    }

    /// The parts, none left open.
    pub(super) fn into_parts(mut self, now_ms: i64) -> Vec<Part> {
        self.transcript.close_open_parts("The turn ended before the tool did.", now_ms);
        self.transcript.into_parts()
    }
}

/// Bytes of a part that cost something.
fn length(body: &PartBody) -> u64 {
    match body {
        PartBody::Text(part) => bytes(&part.text),
        PartBody::Reasoning(part) => bytes(&part.text),
        PartBody::Tool(tool) => match tool.state.input() {
            Value::Null => 0,
            input => bytes(&input.to_string()),
        },
        _ => 0,
    }
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn update(part: serde_json::Value, delta: Option<&str>) -> PartUpdated {
        let mut body = json!({"part": part});
        if let Some(delta) = delta {
            body["delta"] = json!(delta);
        }
        serde_json::from_value(body).unwrap()
    }

    fn text(id: &str, text: &str, delta: Option<&str>) -> PartUpdated {
        update(json!({"id": id, "type": "text", "text": text}), delta)
    }

    #[test]
    fn a_prompt_costs_a_quarter_of_its_bytes_rounded_up() {
        assert_eq!([prompt_tokens(""), prompt_tokens("abcd"), prompt_tokens("äöü")], [0, 1, 2]);
    }

    #[test]
    fn deltas_and_snapshots_of_the_same_text_cost_it_once() {
        let mut message = Message::default();
        assert!(message.take(text("a", "", Some("12345678")), u64::MAX));
        assert!(message.take(text("a", "", Some("9012")), u64::MAX));
        assert_eq!(message.output_tokens(), 3);
        assert!(message.take(text("a", "123456789012", None), u64::MAX));
        assert_eq!(message.output_tokens(), 3);
        assert_eq!(message.text(), "123456789012");
    }

    #[test]
    fn text_that_a_snapshot_takes_back_stays_counted() {
        let mut message = Message::default();
        assert!(message.take(text("a", "12345678", None), u64::MAX));
        assert!(message.take(text("a", "", None), u64::MAX));
        assert_eq!(message.output_tokens(), 2);
    }

    #[test]
    fn a_tool_costs_its_input_once_and_never_its_output() {
        let tool = |state| {
            update(json!({"id": "t", "type": "tool", "tool": "bash", "state": state}), None)
        };
        let mut message = Message::default();
        let input = json!({"command": "ls"});
        message.take(tool(json!({"status": "running", "input": input})), u64::MAX);
        let after_call = message.output_tokens();
        assert_eq!(after_call, (input.to_string().len() as u64).div_ceil(4));
        let output = "x".repeat(4000);
        message
            .take(tool(json!({"status": "completed", "input": input, "output": output})), u64::MAX);
        assert_eq!(message.output_tokens(), after_call);
    }

    #[test]
    fn a_snapshot_beside_an_empty_delta_is_counted_and_limited() {
        let mut message = Message::default();
        assert!(message.take(text("a", "1234", None), 3));
        assert!(message.take(text("a", "12345678", Some("")), 3));
        assert_eq!((message.output_tokens(), message.text().len()), (2, 8));
        assert!(!message.take(text("a", &"x".repeat(1000), Some("")), 3));
        assert_eq!((message.output_tokens(), message.text().len()), (2, 8));
    }

    #[test]
    fn a_text_that_grows_under_the_name_of_a_tool_is_counted() {
        let mut message = Message::default();
        assert!(message.take(text("a", "1234", None), u64::MAX));
        let state = json!({"status": "running"});
        let tool = json!({"id": "a", "type": "tool", "tool": "bash", "state": state});
        assert!(message.take(update(tool, Some("5678")), u64::MAX));
        assert_eq!((message.output_tokens(), message.text().len()), (2, 8));
    }

    #[test]
    fn nothing_is_taken_beyond_the_limit() {
        let mut message = Message::default();
        assert!(message.take(text("a", "", Some("12345678")), 2));
        assert!(!message.take(text("a", "", Some("9")), 2));
        assert_eq!((message.output_tokens(), message.text()), (2, "12345678".to_owned()));
    }
}
