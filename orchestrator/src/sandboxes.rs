//! The sandboxes of this orchestrator: made, started, stopped when idle, resumed on demand, deleted.
//!
//! What a sandbox is stands in the database, its files in a folder of its own; a running one is a
//! process that dies with this one. After a restart every sandbox is stopped, and the next command
//! or turn resumes it.

mod folder;
mod lifecycle;
mod request;
mod slot;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandbox_sdk::types::{CreateSandbox, SandboxStatus};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use slot::{Lease, Snapshot};

use crate::{
    agents::Patience,
    clock::now_ms,
    driver::{Bubblewrap, DriverReport},
    models::ModelGateway,
    store::{SandboxRow, Store, StoreError},
};
use slot::Slot;

/// What the registry works with.
#[derive(Debug)]
pub(crate) struct SandboxesConfig {
    /// Folder that holds one folder per sandbox.
    pub(crate) folder: PathBuf,
    pub(crate) max_sandboxes: usize,
    pub(crate) max_running: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) demo_pace: Duration,
    /// How patient agents are.
    pub(crate) patience: Patience,
    /// Folder in which agents are looked for, besides the `PATH`.
    pub(crate) agents: PathBuf,
}

/// The registry. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sandboxes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: SandboxesConfig,
    store: Store,
    driver: Bubblewrap,
    models: ModelGateway,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// Held while a sandbox is looked up and, if it is new, counted, written down and put in the
    /// map: one step for all others.
    making: tokio::sync::Mutex<()>,
    running: Arc<Semaphore>,
    closing: CancellationToken,
    /// Starts, supervisors: whatever must be over before the database closes.
    tasks: TaskTracker,
}

/// Why a sandbox can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("there is no such sandbox")]
    NotFound,
    #[error("{0}")]
    Invalid(String),
    #[error("no more than {limit} sandboxes may {what} at once")]
    Quota { what: &'static str, limit: usize },
    #[error("the sandbox could not be started: {0}")]
    Start(String),
    #[error("a sandbox of this name is just being deleted")]
    BeingDeleted,
    #[error("the orchestrator is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sandboxes {
    /// Takes over what the last process left: nothing runs, half-made deletions are finished.
    pub(crate) async fn open(
        config: SandboxesConfig,
        store: Store,
        driver: Bubblewrap,
        models: ModelGateway,
    ) -> Result<Self, StoreError> {
        let mut slots = BTreeMap::new();
        let mut deleted = Vec::new();
        for mut row in store.sandboxes().await? {
            match row.status.as_str() {
                "deleted" => deleted.push(row.id),
                status => {
                    // What has run before has files, and can run again.
                    let never_ran = status == "failed" && row.started_at.is_none();
                    if status != "stopped" && !never_ran {
                        row.status = "stopped".to_owned();
                        store.save_sandbox(&row).await?;
                    }
                    slots.insert(row.id.clone(), Arc::new(Slot::new(row)?));
                }
            }
        }
        let running = Arc::new(Semaphore::new(config.max_running));
        let inner = Inner {
            config,
            store,
            driver,
            models,
            slots: Mutex::new(slots),
            making: tokio::sync::Mutex::default(),
            running,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let sandboxes = Self(Arc::new(inner));
        // Looked for before anything is deleted anew; nobody has to wait until they are gone.
        let leftovers = folder::leftovers(&sandboxes.0.config.folder);
        for id in deleted {
            sandboxes.erase(&id).await?;
        }
        sandboxes.0.tasks.spawn(async move {
            for folder in leftovers {
                if let Err(error) = folder::finish(folder).await {
                    tracing::error!(%error, "the folder of a deleted sandbox is still there");
                }
            }
        });
        Ok(sandboxes)
    }

    pub(crate) fn driver_report(&self) -> DriverReport {
        self.0.driver.report()
    }

    /// Makes a sandbox and starts it in the background. The same idempotency key, or the same id
    /// chosen by the caller, answers with the one that stands; `true`: it is new.
    pub(crate) async fn create(
        &self,
        id: Option<String>,
        request: CreateSandbox,
    ) -> Result<(Snapshot, bool), SandboxError> {
        request::check(&request)?;
        let sandboxes = self.clone();
        // In a task of its own: a caller that goes away must not leave a row that nobody starts.
        let made = self.0.tasks.spawn(async move { sandboxes.make(id, request).await });
        made.await.unwrap_or_else(|error| Err(SandboxError::Start(error.to_string())))
    }

    async fn make(
        &self,
        id: Option<String>,
        request: CreateSandbox,
    ) -> Result<(Snapshot, bool), SandboxError> {
        let making = self.0.making.lock().await;
        if let Some(known) = self.known(id.as_deref(), request.idempotency_key.as_deref()) {
            return Ok((known.snapshot(), false));
        }
        let limit = self.0.config.max_sandboxes;
        if self.slots().len() >= limit {
            return Err(SandboxError::Quota { what: "exist", limit });
        }
        let now = now_ms();
        let row = SandboxRow {
            id: id.unwrap_or_else(random_id),
            idempotency_key: request.idempotency_key.clone(),
            request: serde_json::to_string(&request).map_err(StoreError::from)?,
            status: "provisioning".to_owned(),
            error: None,
            created_at: now,
            started_at: None,
            last_activity_at: now,
        };
        let slot = Arc::new(Slot::new(row.clone())?);
        // The lock on its life is held from before others see it, so that the first start is ours.
        let life = slot.lock_life().await;
        if !self.0.store.insert_sandbox(&row).await? {
            // What is in the way is none that could be found: it is on its way out.
            return Err(SandboxError::BeingDeleted);
        }
        self.slots().insert(row.id.clone(), slot.clone());
        drop(making);
        let snapshot = slot.snapshot();
        let sandboxes = self.clone();
        self.0.tasks.spawn(async move {
            // A failed start stands in the sandbox's status; there is nobody here to tell.
            drop(sandboxes.start(&slot, life).await);
        });
        Ok((snapshot, true))
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
        slot.filter(|slot| !slot.is_condemned()).ok_or(SandboxError::NotFound)
    }

    fn known(&self, id: Option<&str>, key: Option<&str>) -> Option<Arc<Slot>> {
        let slots = self.slots();
        let by_id = id.and_then(|id| slots.get(id));
        let by_key = || slots.values().find(|slot| key.is_some() && slot.idempotency_key() == key);
        by_id.or_else(by_key).filter(|slot| !slot.is_condemned()).cloned()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `sandbox-` and 12 random hexadecimal digits.
fn random_id() -> String {
    let random = uuid::Uuid::now_v7().simple().to_string();
    // A version 7 UUID ends in random bits; it begins with the time.
    format!("sandbox-{}", random.get(20..).unwrap_or(&random))
}
