//! Longer jobs, in several steps that build on each other's real results.

mod clean_spreadsheet;
mod explain_repository;
mod find_slow_part;
mod fix_loop;
mod write_script;

pub(super) use clean_spreadsheet::clean_spreadsheet;
pub(super) use explain_repository::explain_repository;
pub(super) use find_slow_part::find_slow_part;
pub(super) use fix_loop::fix_loop;
pub(super) use write_script::write_script;

use super::{
    narrator::{Narrator, Stopped},
    tools::ToolCall,
    wording::code,
};

/// Whether the sandbox has a program.
async fn has(narrator: &mut Narrator, program: &str) -> Result<bool, Stopped> {
    Ok(narrator.bash(format!("command -v {program}")).await?.is_ok())
}

/// Writes a file, and says so when that fails. Whether it is there.
async fn put(narrator: &mut Narrator, path: &str, content: &str) -> Result<bool, Stopped> {
    let call = ToolCall::Write { path: path.to_owned(), content: content.to_owned() };
    let Some(error) = narrator.call(call).await?.error else { return Ok(true) };
    narrator.say(&format!("I could not write {}: {error}. I stop here.", code(path))).await?;
    Ok(false)
}
