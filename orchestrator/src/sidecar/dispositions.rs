//! Signals that whoever started the orchestrator had ignored, as `nohup` and scripts do for what they
//! leave in the background.
//!
//! What is ignored stays so in every program that is started from here, and could not end it. What is
//! caught does not: a program begins with the default.

use tokio::signal::unix::{SignalKind, signal};

/// Rust's own runtime ignores it, and gives it back to every program.
const PIPE: i32 = 13;

/// Catches what is ignored, and does nothing about it.
pub(super) fn catch_ignored() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for number in ignored(&status).filter(|number| *number != PIPE) {
        // The C library keeps a few for itself.
        signal(SignalKind::from_raw(number)).ok();
    }
}

/// Numbers of the signals that a process ignores, by its `status`.
fn ignored(status: &str) -> impl Iterator<Item = i32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=64).filter(move |number| mask >> (number - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_words() {
        let read = |status: &str| ignored(status).collect::<Vec<_>>();
        assert_eq!(read("Name:\tx\nSigIgn:\t8000000000001005\nSigCgt:\t2\n"), [1, 3, 13, 64]);
        assert_eq!(read("Name:\tx\n"), [0; 0]);
    }
}
