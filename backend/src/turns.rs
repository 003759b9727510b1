//! Turns: one question, one run of the agent, one answer, one bill.

mod drive;
mod finish;
mod interactions;
mod report;
mod row;
mod settle;
mod start;
mod status;
mod stop;
mod sweep;

use sandbox_sdk::types::Part;

use crate::{
    ChatId, ChatSummary, Credits, Message, Permissions, SandboxState, StreamGrant, TurnId,
    words::stored_as_words,
};

stored_as_words! {
    /// Where a turn stands. The last four are final.
    pub enum TurnState {
        /// Stored; nothing was handed to an agent yet.
        Provisioning = "provisioning",
        /// Handed to the agent.
        Running = "running",
        /// The agent came to its end.
        Completed = "completed",
        /// It went wrong; costs what a model used.
        Failed = "failed",
        /// Ended on request; costs what was used.
        Stopped = "stopped",
        /// Cut off from outside; costs what a model used.
        Interrupted = "interrupted",
    }
}

impl TurnState {
    /// Nothing more will happen.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Provisioning | Self::Running)
    }
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct StartTurn {
    /// None begins a new chat.
    pub chat_id: Option<ChatId>,
    /// The same id again is a look-up.
    pub turn_id: TurnId,
    /// 1 to 100 000 characters after trimming.
    pub text: String,
    /// The agent to run it; none is that of the chat's last turn, or else the usual one.
    pub agent: Option<String>,
    /// The model, by its name in [`Options`](crate::Options); none is as with the agent.
    pub model: Option<String>,
    /// What the agent may do without asking; none is as in the chat's last turn, else as in the
    /// account's last one, else everything.
    pub permissions: Option<Permissions>,
    /// The chat's last question is asked again. It is a turn like any other; its message says so.
    pub repeats: bool,
}

/// A turn that was started, now or before.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTurn {
    /// Its chat.
    pub chat: ChatSummary,
    /// The turn.
    pub turn_id: TurnId,
    /// Where it stands.
    pub state: TurnState,
    /// How to watch; none while the sandbox is not ready.
    pub stream: Option<StreamGrant>,
    /// What the person said.
    pub user_message: Message,
}

/// Where a turn stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnStatus {
    /// Its chat.
    pub chat_id: ChatId,
    /// The turn.
    pub turn_id: TurnId,
    /// Where it stands.
    pub state: TurnState,
    /// The chat's sandbox.
    pub sandbox: SandboxState,
    /// How to watch; only while it runs.
    pub stream: Option<StreamGrant>,
    /// The answer, once it has ended.
    pub outcome: Option<TurnOutcome>,
    /// Something the person should know, in words: the sandbox had to be replaced, it starts slowly.
    pub notice: Option<String>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnOutcome {
    /// The agent's message.
    pub message: Message,
    /// What the account has left to spend.
    pub balance: Credits,
    /// What went wrong, in words.
    pub error: Option<String>,
}

/// The turn of a chat that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// `Provisioning` or `Running`.
    pub state: TurnState,
    /// Milliseconds since the Unix epoch.
    pub started_at: i64,
    /// Something the person should know, in words.
    pub notice: Option<String>,
    /// What the agent waits for the person to say: parts of its message.
    pub waiting: Vec<Part>,
}

/// What a browser believes a turn used. Stored beside the bill and compared with it; money never
/// follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// From start to end, milliseconds.
    pub duration_ms: Option<u64>,
}
