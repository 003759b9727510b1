//! What was said in a session, in no provider's format, and kept from turn to turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{sidecar::HOME, tools::Tools};

/// What a message counts for beyond its texts, in bytes of a request.
const MESSAGE_OVERHEAD: usize = 40;
/// How the name of a call begins that a model wrote into its text.
pub(super) const WRITTEN: &str = "written_";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message {
    User { text: String },
    Assistant { blocks: Vec<Block> },
    Tools { results: Vec<ToolResult> },
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Block {
    Text {
        text: String,
    },
    Thinking {
        text: String,
        /// The provider's proof that the thought is its own. It wants both back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
        /// Field in which the provider sent it, and under which it may want it back.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        field: String,
    },
    /// A thought that only the provider can read.
    Redacted {
        data: String,
    },
    Call(Call),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// Always an object.
    pub(super) input: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolResult {
    pub(super) call_id: String,
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_error: bool,
}

impl Message {
    /// Bytes that it adds to a request, roughly.
    pub(super) fn size(&self) -> usize {
        let texts = match self {
            Self::User { text } => text.len(),
            Self::Assistant { blocks } => blocks.iter().map(Block::size).sum(),
            Self::Tools { results } => {
                results.iter().map(|result| result.text.len() + MESSAGE_OVERHEAD).sum()
            }
        };
        texts + MESSAGE_OVERHEAD
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        let blocks = match self {
            Self::Assistant { blocks } => blocks.as_slice(),
            _ => &[],
        };
        blocks.iter().filter_map(|block| match block {
            Block::Call(call) => Some(call),
            _ => None,
        })
    }
}

impl Block {
    fn size(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Thinking { text, signature, .. } => {
                text.len() + signature.as_ref().map_or(0, String::len)
            }
            Self::Redacted { data } => data.len(),
            Self::Call(call) => call.name.len() + call.input.to_string().len() + MESSAGE_OVERHEAD,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Conversation {
    path: String,
    pub(super) messages: Vec<Message>,
    /// Where the current turn begins.
    pub(super) turn_start: usize,
}

impl Conversation {
    /// What is kept of a session. Not so if the file can't be understood: then the session is a new
    /// one, and the flag says that something was lost.
    pub(super) async fn load(tools: &Tools, session_id: &str) -> (Self, bool) {
        let path = path(session_id);
        let (messages, lost) = match tools.read(&path).await {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(messages) => (messages, false),
                Err(_) => (Vec::new(), !text.trim().is_empty()),
            },
            Err(_) => (Vec::new(), false),
        };
        let mut conversation = Self { path, messages, turn_start: 0 };
        conversation.mend("It was cut off before it had a result.");
        (conversation, lost)
    }

    /// Keeps it. A full disk costs the memory, not the turn.
    pub(super) async fn save(&self, tools: &Tools) {
        if let Ok(text) = serde_json::to_string(&self.messages) {
            tools.write(&self.path, text).await.ok();
        }
    }

    /// A new turn begins with what the person wrote.
    pub(super) fn begin_turn(&mut self, text: &str) {
        self.turn_start = self.messages.len();
        self.messages.push(Message::User { text: text.to_owned() });
    }

    /// The turn ends before its time: what is open is closed, and the model will know why.
    pub(super) fn cut_off(&mut self, partial: Option<String>, why: &str) {
        self.mend(why);
        let said = partial.filter(|text| !text.trim().is_empty()).unwrap_or_default();
        let gap = if said.is_empty() { "" } else { "\n\n" };
        let text = format!("{said}{gap}[{why}]");
        self.messages.push(Message::Assistant { blocks: vec![Block::Text { text }] });
    }

    /// Every call needs its result right after it, and every result its call: providers refuse the
    /// whole conversation otherwise.
    fn mend(&mut self, reason: &str) {
        let mut mended: Vec<Message> = Vec::with_capacity(self.messages.len() + 1);
        for message in self.messages.drain(..) {
            let mut open = mended.last().map(open_calls).unwrap_or_default();
            match message {
                Message::Tools { mut results } => {
                    results.retain(|result| open.contains(&result.call_id));
                    open.retain(|id| !results.iter().any(|result| result.call_id == *id));
                    results.extend(open.into_iter().map(|id| unanswered(id, reason)));
                    if !results.is_empty() {
                        mended.push(Message::Tools { results });
                    }
                }
                other => {
                    close(&mut mended, open, reason);
                    mended.push(other);
                }
            }
        }
        let open = mended.last().map(open_calls).unwrap_or_default();
        close(&mut mended, open, reason);
        self.messages = mended;
    }

    /// Bytes that all of it adds to a request, roughly.
    pub(super) fn size(&self) -> usize {
        self.messages.iter().map(Message::size).sum()
    }

    /// Whether the model has made a call other than in its text.
    pub(super) fn has_proper_call(&self) -> bool {
        self.messages.iter().flat_map(Message::calls).any(|call| !call.id.starts_with(WRITTEN))
    }

    /// Whether a call of this name exists already.
    pub(super) fn has_call(&self, id: &str) -> bool {
        self.messages.iter().flat_map(Message::calls).any(|call| call.id == id)
    }
}

fn open_calls(message: &Message) -> Vec<String> {
    message.calls().map(|call| call.id.clone()).collect()
}

fn close(messages: &mut Vec<Message>, open: Vec<String>, reason: &str) {
    if !open.is_empty() {
        let results = open.into_iter().map(|id| unanswered(id, reason)).collect();
        messages.push(Message::Tools { results });
    }
}

fn unanswered(call_id: String, reason: &str) -> ToolResult {
    ToolResult { call_id, text: reason.to_owned(), is_error: true }
}

fn path(session_id: &str) -> String {
    let name: String = session_id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | ':') { c } else { '_' })
        .take(160)
        .collect();
    format!("{HOME}/.skein/conversations/{name}.json")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str) -> Message {
        let call = Call { id: id.into(), name: "bash".into(), input: json!({}) };
        Message::Assistant { blocks: vec![Block::Call(call)] }
    }

    fn result(id: &str) -> ToolResult {
        ToolResult { call_id: id.into(), text: "fine".into(), is_error: false }
    }

    #[test]
    fn a_call_that_was_cut_off_gets_a_result_and_a_result_without_a_call_goes() {
        let user = Message::User { text: "hello".into() };
        let messages = vec![
            Message::Tools { results: vec![result("stray")] },
            call("a"),
            user.clone(),
            call("b"),
            Message::Tools { results: vec![result("b"), result("other")] },
            call("c"),
        ];
        let mut conversation = Conversation { messages, ..Conversation::default() };
        conversation.mend("Stopped.");
        let closed = |id: &str| Message::Tools { results: vec![unanswered(id.into(), "Stopped.")] };
        let answered = Message::Tools { results: vec![result("b")] };
        assert_eq!(
            conversation.messages,
            [call("a"), closed("a"), user, call("b"), answered, call("c"), closed("c")]
        );
    }

    #[test]
    fn what_was_said_survives_the_file() {
        let thinking = Block::Thinking {
            text: "hm".into(),
            signature: Some("s".into()),
            field: String::new(),
        };
        let messages = vec![
            Message::User { text: "hello".into() },
            Message::Assistant { blocks: vec![thinking, Block::Redacted { data: "x".into() }] },
            call("a"),
            Message::Tools { results: vec![result("a")] },
        ];
        let text = serde_json::to_string(&messages).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Message>>(&text).unwrap(), messages);
    }

    #[test]
    fn a_turn_cut_off_says_so_to_the_next() {
        let mut conversation = Conversation::default();
        conversation.begin_turn("count to ten");
        conversation.cut_off(Some("one, two".into()), "The user stopped this turn.");
        let Some(Message::Assistant { blocks }) = conversation.messages.last() else { panic!() };
        assert_eq!(
            blocks,
            &[Block::Text { text: "one, two\n\n[The user stopped this turn.]".into() }]
        );
    }
}
