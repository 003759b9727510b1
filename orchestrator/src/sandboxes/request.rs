//! What may be asked of a sandbox. Nothing that is asked for is dropped in silence: it is done, or
//! refused, or named among the warnings.

mod backend;
mod check;
mod environment;
mod limits;
mod network;
mod refused;
mod warnings;

use super::SandboxError;

pub(super) use backend::for_turn;
pub(super) use check::{check, check_update, tools};
pub(super) use environment::{check_room, environment};
pub(super) use limits::{check_hard, limits};
pub(crate) use network::{NetworkAsk, check_port};
pub(super) use warnings::warnings;

fn invalid<T>(message: impl Into<String>) -> Result<T, SandboxError> {
    Err(SandboxError::Invalid(message.into()))
}
