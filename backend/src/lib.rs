#![doc = include_str!("../README.md")]

mod accounts;
mod backend;
mod chats;
mod clock;
mod config;
mod credits;
mod db;
mod error;
mod ids;
mod ledger;
mod messages;
mod options;
mod prices;
mod sandboxes;
mod tokens;
mod trace;
mod turns;
mod webhooks;
mod words;

pub use accounts::{Account, SessionToken};
pub use backend::Backend;
pub use chats::{ChatDetail, ChatSummary, EarlierMessages};
pub use config::{BackendConfig, Limits, Timing};
pub use credits::{Balance, Credits};
pub use error::Error;
pub use ids::{AccountId, ChatId, TurnId};
pub use ledger::Audit;
pub use messages::{Message, MessageState, Receipt, Role};
pub use options::{AgentOption, Choice, ModelOption, Options, Permissions};
pub use prices::{PriceError, Prices};
pub use sandboxes::SandboxState;
pub use tokens::StreamGrant;
pub use trace::{TraceParent, begin_trace, in_trace};
pub use turns::{
    ActiveTurn, ReportedUsage, StartTurn, StartedTurn, TurnOutcome, TurnState, TurnStatus,
};
