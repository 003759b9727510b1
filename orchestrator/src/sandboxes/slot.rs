//! One sandbox in the registry.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use sandbox_sdk::types::{CreateSandbox, SandboxStatus};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::{
    request,
    stop::{Stop, StopReason},
};
use crate::{clock::now_ms, network::NetworkDoor, sidecar::SidecarClient, store::SandboxRow};

#[derive(Debug)]
pub(super) struct Slot {
    /// What it is made with.
    request: Mutex<Arc<CreateSandbox>>,
    /// Why nobody can read what it was made with, if so; the defaults stand in its place.
    unreadable: Option<Unreadable>,
    /// It is made of the image that it asked for, if it did.
    uses_image: bool,
    /// How it stands, deleted or not.
    row: Mutex<SandboxRow>,
    /// Nobody shall see it any more.
    condemned: AtomicBool,
    /// Those who wait for its stop.
    stoppers: AtomicUsize,
    /// Held while the sandbox starts, stops or is deleted: one at a time.
    life: Arc<tokio::sync::Mutex<()>>,
    running: Mutex<Option<Running>>,
    /// Commands, turns and requests through ports under way. A sandbox at work is never idle.
    at_work: AtomicUsize,
    last_activity: AtomicI64,
    /// The same, on a clock that nobody sets: it says how long the sandbox is idle.
    idle_since: Mutex<Instant>,
}

/// Why nobody can read what a sandbox was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it was sealed with another signing secret")]
    Sealed,
    #[error("this version does not understand it")]
    Foreign,
}

/// A sandbox's process, as others see it; its supervisor owns it.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) sidecar: SidecarClient,
    /// Asks the supervisor to kill it.
    pub(super) stop: Stop,
    /// Cancelled once nothing of it is left.
    pub(super) ended: CancellationToken,
    /// Secrets that were asked for and are not in its environment.
    pub(super) without: Arc<[String]>,
    /// Its way to the network.
    pub(super) network: NetworkDoor,
}

/// The right to use a running sandbox. As long as it is held the sandbox is not stopped as idle.
#[derive(Debug)]
pub(crate) struct Lease {
    slot: Arc<Slot>,
    sidecar: SidecarClient,
    stop: Stop,
}

/// A sandbox at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) row: SandboxRow,
    pub(crate) request: Arc<CreateSandbox>,
    unreadable: Option<Unreadable>,
    uses_image: bool,
    without: Arc<[String]>,
}

impl Snapshot {
    pub(crate) fn status(&self) -> SandboxStatus {
        match (self.row.status.as_str(), self.row.expired_at) {
            ("deleted", _) | (_, None) => SandboxStatus::from(self.row.status.as_str()),
            (_, Some(_)) => SandboxStatus::Expired,
        }
    }

    /// When its time is up, if it has started and was given one. Milliseconds since the Unix epoch.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let seconds = i64::try_from(self.request.max_lifetime_seconds?).unwrap_or(i64::MAX);
        Some(self.row.first_started_at?.saturating_add(seconds.saturating_mul(1000)))
    }

    /// What was asked for and makes no difference.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = request::warnings(&self.request, self.uses_image);
        if let Some(why) = self.unreadable {
            warnings.push(format!(
                "what the sandbox was made with can't be read: {why}. It runs with the defaults, \
                 and without its environment."
            ));
        }
        warnings.extend(self.without.iter().map(|name| {
            format!(
                "the secret {name} is not in the environment: it is gone, it can't be opened, or \
                 there was no room for it when the sandbox was started"
            )
        }));
        warnings
    }
}

impl Slot {
    /// `request`: what it is made with, or what stands in the place of what nobody can read.
    pub(super) fn new(
        row: SandboxRow,
        request: CreateSandbox,
        unreadable: Option<Unreadable>,
        uses_image: bool,
    ) -> Self {
        Self {
            unreadable,
            uses_image,
            request: Mutex::new(Arc::new(request)),
            last_activity: AtomicI64::new(row.last_activity_at),
            idle_since: Mutex::new(Instant::now()),
            row: Mutex::new(row),
            condemned: AtomicBool::new(false),
            stoppers: AtomicUsize::new(0),
            life: Arc::default(),
            running: Mutex::default(),
            at_work: AtomicUsize::new(0),
        }
    }

    pub(super) fn request(&self) -> Arc<CreateSandbox> {
        self.lock_request().clone()
    }

    pub(super) fn set_request(&self, request: CreateSandbox) {
        *self.lock_request() = Arc::new(request);
    }

    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable
    }

    pub(super) fn has_idempotency_key(&self, key: &str) -> bool {
        self.row().idempotency_key.as_deref() == Some(key)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut row = self.row().clone();
        row.last_activity_at = self.last_activity.load(Ordering::Relaxed);
        if self.is_condemned() {
            row.status = "deleted".to_owned();
        }
        let without = self.lock_running().as_ref().map(|running| running.without.clone());
        let without = without.unwrap_or_default();
        Snapshot {
            row,
            request: self.request(),
            unreadable: self.unreadable,
            uses_image: self.uses_image,
            without,
        }
    }

    /// Changes the row in memory and gives what to save. A condemned sandbox is saved as one.
    pub(super) fn change(&self, change: impl FnOnce(&mut SandboxRow)) -> SandboxRow {
        change(&mut self.row());
        self.snapshot().row
    }

    pub(super) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::SeqCst)
    }

    /// Whether it was otherwise before.
    pub(super) fn set_condemned(&self, condemned: bool) -> bool {
        self.condemned.swap(condemned, Ordering::SeqCst) != condemned
    }

    /// Whether somebody waits for its stop.
    pub(super) fn is_called_off(&self) -> bool {
        self.stoppers.load(Ordering::SeqCst) > 0
    }

    /// Says that it need not become ready, for as long as this is held.
    pub(super) fn call_off(&self) -> Stopper<'_> {
        self.stoppers.fetch_add(1, Ordering::SeqCst);
        Stopper(self)
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expired_at().is_some()
    }

    pub(super) fn expired_at(&self) -> Option<i64> {
        self.row().expired_at
    }

    /// Marks a sandbox whose time is up. Whether it was not marked before.
    pub(super) fn expire(&self, now: i64) -> bool {
        let mut row = self.row();
        let first = row.expired_at.is_none();
        row.expired_at.get_or_insert(now);
        first
    }

    pub(super) async fn lock_life(&self) -> OwnedMutexGuard<()> {
        self.life.clone().lock_owned().await
    }

    pub(super) fn running(&self) -> Option<Running> {
        self.lock_running().clone()
    }

    pub(super) fn set_running(&self, running: Option<Running>) {
        *self.lock_running() = running;
    }

    /// A lease, if the sandbox runs and nobody has asked it to stop.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
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
    pub(super) fn stop_if_idle(
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
    pub(super) fn idle_ms(&self) -> Option<i64> {
        let idle = || i64::try_from(self.lock_idle_since().elapsed().as_millis());
        (self.at_work.load(Ordering::SeqCst) == 0).then(|| idle().unwrap_or(i64::MAX))
    }

    pub(super) fn touch(&self) {
        self.last_activity.store(now_ms(), Ordering::Relaxed);
        *self.lock_idle_since() = Instant::now();
    }

    fn lock_idle_since(&self) -> MutexGuard<'_, Instant> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_request(&self) -> MutexGuard<'_, Arc<CreateSandbox>> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self) -> MutexGuard<'_, SandboxRow> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// Somebody waits for the stop of a sandbox.
#[derive(Debug)]
pub(super) struct Stopper<'a>(&'a Slot);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.stoppers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
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
