//! One sandbox in the registry.

mod lease;
mod snapshot;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use sandbox_sdk::types::CreateSandbox;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::{clones::Clones, stop::Stop};
use crate::{network::NetworkDoor, sidecar::SidecarClient, store::SandboxRow};

pub(crate) use lease::Lease;
pub(crate) use snapshot::Snapshot;

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
    pub(super) clones: Clones,
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
            clones: Clones::default(),
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

/// Somebody waits for the stop of a sandbox.
#[derive(Debug)]
pub(super) struct Stopper<'a>(&'a Slot);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.stoppers.fetch_sub(1, Ordering::SeqCst);
    }
}
