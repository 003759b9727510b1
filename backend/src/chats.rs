//! Chats: list, open, rename, delete. Somebody else's chat is not found.

use crate::{ActiveTurn, ChatId, Message, SandboxState};

/// A chat as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSummary {
    /// The chat.
    pub id: ChatId,
    /// One line.
    pub title: String,
    /// Last change, milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// A turn has not ended yet.
    pub running: bool,
}

/// A chat with its settled history and the turn that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatDetail {
    /// The chat.
    pub summary: ChatSummary,
    /// Oldest first. Of a running turn only the person's message.
    pub messages: Vec<Message>,
    /// The turn that has not ended.
    pub active: Option<ActiveTurn>,
    /// The chat's sandbox.
    pub sandbox: SandboxState,
    /// Number of the last event of the chat's agent session that is part of the history.
    pub settled_seq: u64,
}
