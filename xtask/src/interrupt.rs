//! Ctrl-C and polite requests to end.
//!
//! Children run in process groups of their own, so a Ctrl-C reaches this process only, and it
//! decides in which order they end. Signals are counted; whoever waits looks at the count.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Starts to listen for SIGINT, SIGTERM and SIGHUP.
pub(crate) fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// How many of the signals have come.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Whether one of the signals has come.
pub(crate) fn received() -> bool {
    count() > 0
}

/// Ends the work in hand with an error when one of the signals has come.
pub(crate) fn check() -> Result<()> {
    if received() {
        bail!("asked to stop");
    }
    Ok(())
}
