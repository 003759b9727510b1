//! A chat: what stands in the list of chats, and what is in it.

use sandbox_sdk::types::Part;
use serde::{Deserialize, Serialize};

use super::{Choice, Message, TurnState};

/// A chat in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSummary {
    pub id: String,
    pub title: String,
    pub updated_at: i64,
    /// A turn is in progress.
    pub running: bool,
}

/// A chat with its settled history, or the end of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatPage {
    pub summary: ChatSummary,
    /// In order, whole turns; of a turn in progress only the person's message.
    pub messages: Vec<Message>,
    /// There are messages before these.
    pub earlier: bool,
    pub active: Option<ActiveTurn>,
    pub sandbox: SandboxState,
    /// What its last turn was run with.
    pub choice: Option<Choice>,
    /// Events of the session's log up to this number are part of `messages`.
    pub settled_seq: u64,
}

/// Messages that stand before others of their chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlierPage {
    /// In order, whole turns.
    pub messages: Vec<Message>,
    /// There are messages before these.
    pub earlier: bool,
}

/// A turn in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveTurn {
    pub turn_id: String,
    pub state: TurnState,
    pub started_at: i64,
    /// Something the person should know, such as that the sandbox was replaced.
    pub notice: Option<String>,
    /// What the agent waits for the person to say: parts of its message.
    pub waiting: Vec<Part>,
}

/// Where the sandbox of a chat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// The chat has none yet.
    None,
    /// Being made, or woken.
    Provisioning,
    Running,
    /// At rest; the next message wakes it.
    Stopped,
    /// Gone or broken; the next message makes another.
    Failed,
}
