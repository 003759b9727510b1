//! A turn: how it is started, how it stands, what came of it.

use serde::{Deserialize, Serialize};

use super::{ChatSummary, Credits, Message, SandboxState, StreamGrant};

/// A message to send. Sending the same turn again is a look-up, never a second run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartTurn {
    /// None opens a new chat.
    pub chat_id: Option<String>,
    /// A UUIDv7 that the browser chose: the idempotency key of everything in the turn.
    pub turn_id: String,
    pub text: String,
    /// None: as in the chat's last turn, or else as usual.
    pub agent: Option<String>,
    pub model: Option<String>,
    /// A word of [`Permissions`](super::Permissions); another one is refused. None: as in the
    /// chat's last turn, else as in the account's last one, else everything.
    #[serde(default)]
    pub permissions: Option<String>,
    /// The chat's last question is asked again.
    #[serde(default)]
    pub repeats: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartedTurn {
    pub chat: ChatSummary,
    pub turn_id: String,
    pub state: TurnState,
    /// Where to watch; none while the sandbox is being made, then `turn_status` brings it.
    pub stream: Option<StreamGrant>,
    pub user_message: Message,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnStatus {
    pub chat_id: String,
    pub turn_id: String,
    pub state: TurnState,
    pub sandbox: SandboxState,
    pub stream: Option<StreamGrant>,
    /// Present once the turn is settled.
    pub outcome: Option<TurnOutcome>,
    /// Something the person should know, such as that the sandbox was replaced.
    pub notice: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnOutcome {
    /// The answer as it is kept; it takes the place of what was streamed.
    pub message: Message,
    pub balance: Credits,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The sandbox is being made ready.
    Provisioning,
    Running,
    Completed,
    Failed,
    Stopped,
    Interrupted,
}

impl TurnState {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Provisioning | Self::Running)
    }
}

/// What the stream said the turn used. Stored beside the orchestrator's own figures and compared with
/// them; nothing is ever charged from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedUsage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub duration_ms: Option<u64>,
}
