//! Ctrl-C and polite requests to end.
//!
//! Children run in process groups of their own, so a Ctrl-C reaches this process only, and it
//! decides in which order they end. The handler sets a flag; whoever waits looks at it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECEIVED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts to listen for SIGINT, SIGTERM and SIGHUP.
pub(crate) fn install() -> Result<()> {
    let flag = RECEIVED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// Whether one of the signals has come.
pub(crate) fn received() -> bool {
    RECEIVED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Ends the work in hand with an error when one of the signals has come.
pub(crate) fn check() -> Result<()> {
    if received() {
        bail!("asked to stop");
    }
    Ok(())
}
