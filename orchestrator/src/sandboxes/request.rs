//! What may be asked of a sandbox. Nothing that is asked for is dropped in silence: it is done, or
//! refused, or named among the warnings.

mod backend;
mod check;
mod differences;
mod driver;
mod environment;
mod git;
mod limits;
mod network;
mod refused;
mod warnings;

use super::SandboxError;
use crate::flaw::Flaw;

pub(super) use backend::for_turn;
pub(super) use check::{check, check_update, tools};
pub(super) use differences::differences;
pub(crate) use driver::driver_names;
pub(super) use driver::{driver, names_of};
pub(super) use environment::{check_room, environment};
pub(super) use git::{Repository, without_token};
pub(super) use limits::{check_hard, limits};
pub(crate) use network::{NetworkAsk, check_port};
#[cfg(test)]
pub(crate) use warnings::READ;
pub(super) use warnings::warnings;

/// `words` go on after the field's name.
fn flawed<T>(field: &str, words: impl AsRef<str>) -> Result<T, SandboxError> {
    Err(SandboxError::Flawed(Flaw::new(field, words.as_ref())))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, SandboxError> {
    Err(SandboxError::Invalid(message.into()))
}
