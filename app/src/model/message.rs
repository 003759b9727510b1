//! A settled message, and what an answer cost.

use sandbox_sdk::types::Part;
use serde::{Deserialize, Serialize};

use super::Credits;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    /// A person's message and the answer to it share their turn.
    pub turn_id: String,
    pub role: Role,
    pub parts: Vec<Part>,
    /// The person had the chat's last question asked again.
    pub repeats: bool,
    pub state: MessageState,
    /// Why the answer failed, in words.
    pub error: Option<String>,
    /// What the answer used and cost; none for a person's message.
    pub receipt: Option<Receipt>,
    pub created_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
}

/// How a settled message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    Complete,
    /// Stopped on request: what stands is part of an answer.
    Stopped,
    Failed,
    /// Cut off from outside, for example by a restart.
    Interrupted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub agent: String,
    pub model: String,
    /// Those from a cache included.
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
    pub charged: Credits,
    pub duration_ms: u64,
}
