//! What server functions take and give: the product's words, as the page sees them.
//!
//! Ids are opaque strings. Times are milliseconds since the Unix epoch unless a field says otherwise.

mod chat;
mod credits;
mod message;
mod options;
mod stream;
mod turn;

pub use chat::{ActiveTurn, ChatPage, ChatSummary, EarlierPage, SandboxState};
pub use credits::{BalanceView, Credits};
pub use message::{Message, MessageState, Receipt, Role};
pub use options::{AgentOption, Choice, ModelOption, Options, Permissions};
pub use stream::StreamGrant;
pub use turn::{ReportedUsage, StartTurn, StartedTurn, TurnOutcome, TurnState, TurnStatus};
