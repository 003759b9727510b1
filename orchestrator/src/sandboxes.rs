//! The sandboxes of this orchestrator: made, started, stopped when idle, resumed on demand,
//! deleted.
//!
//! What a sandbox is stands in the database, its files in a folder of its own; a running one is a
//! process that dies with this one. After a restart every sandbox is stopped, and the next command
//! or turn resumes it.

mod change;
mod clones;
mod drivers;
mod end;
mod events;
mod expiry;
mod folder;
mod lifecycle;
mod make;
mod network;
mod open;
mod repository;
mod request;
mod slot;
mod spawn;
mod stop;
mod supervise;
mod usage;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandbox_sdk::types::{BackendChoice, CreateSandbox, SandboxStatus, TurnError as Problem};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(test)]
pub(crate) use request::READ;
pub(crate) use request::{NetworkAsk, check_port, driver_names};
pub(crate) use slot::{Lease, Snapshot};

use crate::{
    agents::Patience,
    driver::Drivers,
    flaw::Flaw,
    log::EventLog,
    metrics::SandboxFigures,
    models::ModelGateway,
    network::Networks,
    sealed::{SealError, Sealer},
    snapshots::Snapshots,
    store::{Store, StoreError},
    vault::Vault,
};
use slot::{Slot, Unreadable};

/// What the registry works with.
#[derive(Debug)]
pub(crate) struct SandboxesConfig {
    /// Folder that holds one folder per sandbox.
    pub(crate) folder: PathBuf,
    pub(crate) max_sandboxes: usize,
    pub(crate) max_running: usize,
    /// What sandboxes may reach.
    pub(crate) networks: Networks,
    pub(crate) idle_timeout: Duration,
    /// Lifetime in seconds of a sandbox that asks for none; `None`: for ever.
    pub(crate) max_lifetime: Option<u64>,
    pub(crate) demo_pace: Duration,
    /// How patient agents are.
    pub(crate) patience: Patience,
    /// Folders in which agents are looked for, besides the `PATH`.
    pub(crate) agents: Vec<PathBuf>,
}

/// What the registry stands on.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(crate) store: Store,
    pub(crate) logs: EventLog,
    pub(crate) drivers: Drivers,
    pub(crate) models: ModelGateway,
    pub(crate) vault: Vault,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) snapshots: Snapshots,
}

/// A sandbox to be made.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Chosen by the caller.
    pub(crate) id: Option<String>,
    pub(crate) request: CreateSandbox,
    /// It is not to outlive this process.
    pub(crate) ephemeral: bool,
}

/// The registry. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sandboxes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: SandboxesConfig,
    store: Store,
    logs: EventLog,
    drivers: Drivers,
    models: ModelGateway,
    vault: Vault,
    sealer: Arc<Sealer>,
    snapshots: Snapshots,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// Held while a sandbox is looked up and, if it is new, counted, written down and put in the
    /// map: one step for all others.
    making: tokio::sync::Mutex<()>,
    running: Arc<Semaphore>,
    figures: SandboxFigures,
    closing: CancellationToken,
    /// Starts, supervisors: whatever must be over before the database closes.
    tasks: TaskTracker,
}

/// Why a sandbox can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("there is no such sandbox")]
    NotFound { id: String },
    #[error("{0}")]
    Invalid(String),
    /// One field alone is to blame.
    #[error("{0}")]
    Flawed(Flaw),
    #[error("{reason}")]
    NotImplemented { feature: &'static str, reason: String },
    /// With the names that would do.
    #[error("the driver may not be had here: driver must be one of {0}")]
    DriverNotAllowed(String),
    #[error("no more than {0} ports of a sandbox may be open at once")]
    TooManyPorts(usize),
    #[error(
        "SKEIN_NETWORK_ALLOWED of this orchestrator lets no sandbox have this much of the network: \
         ask for less in network, or for none with blockOutbound"
    )]
    NetworkNotAllowed,
    #[error("limits that the kernel does not keep here: {}", .0.join(", "))]
    NotHard(Vec<&'static str>),
    /// No turn could be run with the backend that was asked for.
    #[error("{}", .0.message)]
    NotAvailable(Problem),
    /// `current`: how many there are.
    #[error("no more than {limit} sandboxes may exist at once")]
    TooMany { current: usize, limit: usize },
    #[error("no more than {0} sandboxes may run at once")]
    NoRoom(usize),
    #[error("the sandbox could not be started: {0}")]
    Start(String),
    /// `wait`: when it may be tried again.
    #[error("the sandbox could not be started: {why}")]
    NotCloned { why: String, wait: Duration },
    #[error("a sandbox of this name is just being deleted")]
    BeingDeleted,
    #[error("the sandbox's lifetime is over")]
    Expired,
    #[error("the sandbox was stopped before it was ready")]
    CalledOff,
    #[error("what the sandbox was made with can't be read: {0}")]
    Unreadable(Unreadable),
    #[error("the orchestrator is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sandboxes {
    /// What was started since the start.
    pub(crate) fn figures(&self) -> &SandboxFigures {
        &self.0.figures
    }

    /// What a turn in a sandbox is run with that asks for this.
    pub(crate) fn backend(
        &self,
        id: &str,
        asked: Option<BackendChoice>,
    ) -> Result<Option<BackendChoice>, SandboxError> {
        let request = self.slot(id)?.request();
        Ok(request::for_turn(request.backend.as_ref(), asked))
    }

    /// Refuses a backend that no sandbox can be made with. Gives what of it makes no difference, in
    /// words for people.
    pub(crate) fn check_backend(backend: &BackendChoice) -> Result<Vec<String>, SandboxError> {
        let backend = Some(backend.clone());
        let request = CreateSandbox { backend, ..CreateSandbox::default() };
        request::check(&request)?;
        Ok(request::warnings(&request, false))
    }

    pub(crate) fn get(&self, id: &str) -> Result<Snapshot, SandboxError> {
        self.slot(id).map(|slot| slot.snapshot())
    }

    /// Sandboxes, the newest first, those of the given statuses only if any.
    pub(crate) fn list(&self, statuses: &[SandboxStatus]) -> Vec<Snapshot> {
        let mut slots: Vec<_> = self.slots().values().cloned().collect();
        slots.retain(|slot| !slot.is_condemned());
        let mut found: Vec<_> = slots
            .iter()
            .map(|slot| slot.snapshot())
            .filter(|snapshot| statuses.is_empty() || statuses.contains(&snapshot.status()))
            .collect();
        found.sort_by(|a, b| (b.row.created_at, &b.row.id).cmp(&(a.row.created_at, &a.row.id)));
        found
    }

    fn slot(&self, id: &str) -> Result<Arc<Slot>, SandboxError> {
        let slot = self.slots().get(id).cloned();
        let missing = || SandboxError::NotFound { id: id.to_owned() };
        slot.filter(|slot| !slot.is_condemned()).ok_or_else(missing)
    }

    fn known(&self, id: Option<&str>, key: Option<&str>) -> Option<Arc<Slot>> {
        let slots = self.slots();
        let by_id = id.and_then(|id| slots.get(id));
        let by_key = || {
            let key = key?;
            slots.values().find(|slot| slot.has_idempotency_key(key))
        };
        by_id.or_else(by_key).filter(|slot| !slot.is_condemned()).cloned()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
