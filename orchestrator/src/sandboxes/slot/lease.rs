//! Whether a sandbox is used, and for how long it was not.

use std::{
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use super::{Running, Slot};
use crate::{
    clock::now_ms,
    sandboxes::stop::{Stop, StopReason},
    sidecar::SidecarClient,
};

/// The right to use a running sandbox. As long as it is held the sandbox is not stopped as idle.
#[derive(Debug)]
pub(crate) struct Lease {
    slot: Arc<Slot>,
    sidecar: SidecarClient,
    stop: Stop,
}

impl Lease {
    pub(crate) fn sidecar(&self) -> &SidecarClient {
        &self.sidecar
    }

    /// Whether somebody has asked the sandbox to stop: it does not end by itself then.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_asked()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.slot.touch();
        self.slot.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slot {
    /// A lease, if the sandbox runs and nobody has asked it to stop.
    pub(in crate::sandboxes) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let running = self.lock_running();
        let Running { sidecar, stop, .. } = running.as_ref()?;
        if stop.is_asked() {
            return None;
        }
        // Counted under the lock that `stop_if_idle` decides under.
        self.at_work.fetch_add(1, Ordering::SeqCst);
        Some(Lease { slot: self.clone(), sidecar: sidecar.clone(), stop: stop.clone() })
    }

    /// Asks a sandbox to stop that was idle for so many milliseconds. The token: when it has.
    pub(in crate::sandboxes) fn stop_if_idle(
        &self,
        idle_ms: i64,
        reason: StopReason,
    ) -> Option<CancellationToken> {
        let running = self.lock_running();
        let running = running.as_ref().filter(|_| self.idle_ms() >= Some(idle_ms))?;
        running.stop.ask(reason);
        Some(running.ended.clone())
    }

    /// How long nothing was done, in milliseconds; `None` while something is.
    pub(in crate::sandboxes) fn idle_ms(&self) -> Option<i64> {
        let idle = || i64::try_from(self.lock_idle_since().elapsed().as_millis());
        (self.at_work.load(Ordering::SeqCst) == 0).then(|| idle().unwrap_or(i64::MAX))
    }

    pub(in crate::sandboxes) fn touch(&self) {
        self.last_activity.store(now_ms(), Ordering::Relaxed);
        *self.lock_idle_since() = Instant::now();
    }

    fn lock_idle_since(&self) -> MutexGuard<'_, Instant> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::types::CreateSandbox;

    use super::*;
    use crate::{clock::TestClock, log::tests::the_box};

    #[test]
    fn a_clock_that_is_set_makes_no_sandbox_idle() {
        const HOUR_MS: i64 = 3_600_000;
        let clock = TestClock;
        let slot = Slot::new(the_box(), CreateSandbox::default(), None, false);
        for ahead in [HOUR_MS, -HOUR_MS] {
            clock.set_by(0);
            slot.touch();
            clock.set_by(ahead);
            let idle = slot.idle_ms().unwrap();
            assert!((0..HOUR_MS / 2).contains(&idle), "{idle}");
        }
    }
}
