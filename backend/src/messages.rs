//! Messages: what a person asked and what the agent answered.

use sandbox_sdk::types::Part;

use crate::{Credits, TurnId, words::stored_as_words};

stored_as_words! {
    /// Who speaks.
    pub enum Role {
        /// The person.
        User = "user",
        /// The agent.
        Assistant = "assistant",
    }
}

stored_as_words! {
    /// How a message came to its end.
    pub enum MessageState {
        /// All of it is there.
        Complete = "complete",
        /// Cut short on request; what is there stands.
        Stopped = "stopped",
        /// The turn went wrong; `error` says how.
        Failed = "failed",
        /// Cut off from outside; `error` says how.
        Interrupted = "interrupted",
    }
}

/// One message of a chat. A turn has two: the person's and the agent's.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `msg_<turn id>` for the agent's, `usr_<turn id>` for the person's.
    pub id: String,
    /// The turn both messages share.
    pub turn_id: TurnId,
    /// Who speaks.
    pub role: Role,
    /// The pieces, in order.
    pub parts: Vec<Part>,
    /// How it ended.
    pub state: MessageState,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// What the turn used and cost; only on the agent's message, and only when something was metered.
    pub receipt: Option<Receipt>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// What a turn used, as the orchestrator metered it, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The model that served the turn.
    pub model: String,
    /// Tokens read, those from a cache included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What was taken from the account.
    pub charged: Credits,
    /// From start to end, milliseconds.
    pub duration_ms: u64,
}
