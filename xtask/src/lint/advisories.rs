//! Known vulnerabilities, where the database of them can be had.

use std::process::Command;

use anyhow::Result;

use crate::console;
use crate::job;

/// Checks the lock file against the advisory database, and says so when that is out of reach.
pub(super) fn check(deny: impl Fn(&[&str]) -> Command) -> Result<()> {
    if !job::succeeds(&mut deny(&["fetch", "db"])) {
        console::say("advisories: not checked, the database cannot be reached from here");
        return Ok(());
    }
    job::step("advisories", &mut deny(&["check", "--disable-fetch", "advisories"]))
}
