//! Snapshots: what a sandbox keeps, packed and put where it survives the sandbox.
//!
//! A snapshot is one packed archive. The sandbox packs it while the orchestrator passes it on, to a
//! file in a folder of its own or to a bucket; no more than a part of it is in memory. It is listed
//! once all of it is there, so that one which was cut off is never seen; a row in the database tells
//! the next start what to clean up. A snapshot goes back into a sandbox the same way, after it was
//! compared with what was kept. That is done once more on its way, and the end of it held back until
//! then: it may have been changed in between.
//!
//! Callers may bring a bucket of their own. There is no row for those: see `foreign`.

mod bucket;
mod checked;
mod config;
mod error;
mod folder;
mod foreign;
mod origin;
mod request;
mod restore;
mod storage;
mod take;
mod tidy;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use sandbox_sdk::types::{SnapshotStorage, TakeSnapshot};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::now_ms,
    store::{SnapshotRow, Store},
};
pub use config::SnapshotsConfig;
pub(crate) use error::SnapshotError;
use folder::Folder;
pub(crate) use foreign::Foreign;
pub(crate) use restore::Found;
use storage::{Doors, Storage};

/// Snapshots that are taken or restored at once: so many here, and so many in callers' buckets.
const AT_ONCE: usize = 4;
/// How long one waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(60);
/// How long a caller's bucket may take to say what is in it.
const LOOK_PATIENCE: Duration = Duration::from_secs(120);
/// Longest time that taking or restoring one may need.
const LONGEST: Duration = Duration::from_secs(3600);

/// All snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    folder: Folder,
    /// The bucket of the configuration. New snapshots go there if there is one.
    own: Option<Storage>,
    doors: Doors,
    /// Largest snapshot, in MB.
    largest: u64,
    /// Bytes that all snapshots in the folder may have together.
    total: u64,
    days: Option<u64>,
    /// Bytes that are being written to the folder, which no row tells of yet.
    written: AtomicU64,
    /// Sandboxes of which a snapshot is being taken or restored.
    busy: Mutex<HashSet<String>>,
    turns: Arc<Semaphore>,
    /// Apart from the others: a caller's bucket is as slow as the caller likes.
    foreign_turns: Arc<Semaphore>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// What is known of a snapshot. As JSON it stands beside the object in a caller's bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    pub(crate) id: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) created_at: i64,
    pub(crate) tags: Vec<String>,
    /// What was asked for; empty: everything.
    pub(crate) paths: Vec<String>,
    /// Of the object, in bytes.
    pub(crate) size: u64,
    /// Of the object.
    pub(crate) sha256: String,
    /// Entries that it could not have. Only who takes it is told.
    #[serde(skip)]
    pub(crate) left_out: u64,
}

/// Where snapshots of a sandbox are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Own,
    Foreign(Box<Foreign>),
}

/// The right to take or restore a snapshot of one sandbox.
struct Claim {
    snapshots: Snapshots,
    sandbox: String,
}

impl Kept {
    fn new(tags: Vec<String>, paths: Vec<String>) -> Self {
        let (id, created_at) = (request::new_id(), now_ms());
        Self { id, created_at, tags, paths, size: 0, sha256: String::new(), left_out: 0 }
    }

    /// What it was asked for with.
    fn take(&self) -> TakeSnapshot {
        let (tags, paths) = (self.tags.clone(), self.paths.clone());
        TakeSnapshot { tags, paths, ..TakeSnapshot::default() }
    }

    /// `None`: the row makes no sense.
    fn of_row(row: &SnapshotRow) -> Option<Self> {
        Some(Self {
            id: row.id.clone(),
            created_at: row.created_at,
            tags: serde_json::from_str(&row.tags).ok()?,
            paths: serde_json::from_str(&row.paths).ok()?,
            size: u64::try_from(row.size).ok()?,
            sha256: row.digest.clone(),
            left_out: 0,
        })
    }

    /// What whoever takes it should know, in words.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self.left_out {
            0 => Vec::new(),
            count => vec![format!(
                "{count} entries are not in it: FIFOs, sockets and devices, what can't be read, and \
                 what has a path of over 4 KB"
            )],
        }
    }
}

impl Snapshots {
    /// `folder`: where they are without a bucket. Cleans up after the last process in the
    /// background.
    ///
    /// # Errors
    /// Words for people, when the configuration, the folder or the database can't be used.
    pub(crate) async fn open(
        config: &SnapshotsConfig,
        folder: PathBuf,
        store: Store,
    ) -> Result<Self, String> {
        let doors = Doors::new(config)?;
        let own = doors.own(config)?;
        let folder = Folder::open(folder).map_err(|error| error.to_string())?;
        let left = store.unfinished_snapshots().await.map_err(|error| error.to_string())?;
        let snapshots = Self(Arc::new(Inner {
            store,
            folder,
            own,
            doors,
            largest: config.largest_mb,
            total: config.total_mb.saturating_mul(1 << 20),
            days: config.days,
            written: AtomicU64::new(0),
            busy: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            foreign_turns: Arc::new(Semaphore::new(AT_ONCE)),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        let watching = snapshots.clone();
        snapshots.0.tasks.spawn(async move { watching.tidy(left).await });
        Ok(snapshots)
    }

    /// Where the snapshots of a project are: in the caller's bucket if there is one.
    pub(crate) fn place(
        &self,
        storage: Option<&SnapshotStorage>,
        project: &str,
    ) -> Result<Place, SnapshotError> {
        let Some(storage) = storage else { return Ok(Place::Own) };
        request::project(project)?;
        let storage = self.0.doors.foreign(storage)?;
        Ok(Place::Foreign(Box::new(Foreign { storage, project: project.to_owned() })))
    }

    /// The snapshots of a sandbox or of a project in a bucket, the newest first.
    pub(crate) async fn list(
        &self,
        place: &Place,
        sandbox: &str,
    ) -> Result<Vec<Kept>, SnapshotError> {
        match place {
            Place::Own => {
                let rows = self.0.store.snapshots_of(sandbox).await?;
                Ok(rows.iter().filter_map(Kept::of_row).collect())
            }
            Place::Foreign(foreign) => self.looked_up(foreign.list()).await,
        }
    }

    /// Ends what is under way; it comes to nothing.
    pub(crate) async fn shutdown(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Does it in a task of its own: it goes on when the caller goes away.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SnapshotError>> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        if self.0.closing.is_cancelled() {
            return Err(SnapshotError::ShuttingDown);
        }
        self.0.tasks.spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a snapshot came to an end by itself");
            Err(SnapshotError::ShuttingDown)
        })
    }

    /// No longer than is bearable.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, SnapshotError>>,
    ) -> Result<T, SnapshotError> {
        self.within(LONGEST, work).await
    }

    /// So long at most, and not beyond the end of this process.
    async fn within<T>(
        &self,
        longest: Duration,
        work: impl Future<Output = Result<T, SnapshotError>>,
    ) -> Result<T, SnapshotError> {
        match self.0.closing.run_until_cancelled(timeout(longest, work)).await {
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(SnapshotError::TooSlow),
            None => Err(SnapshotError::ShuttingDown),
        }
    }

    /// What a bucket says, and not for as long as it likes.
    async fn looked_up<T>(
        &self,
        work: impl Future<Output = Result<T, SnapshotError>>,
    ) -> Result<T, SnapshotError> {
        self.within(LOOK_PATIENCE, work).await
    }

    /// One at a time for a sandbox.
    fn claim(&self, sandbox: &str) -> Result<Claim, SnapshotError> {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(sandbox.to_owned()) {
            return Err(SnapshotError::Busy);
        }
        Ok(Claim { snapshots: self.clone(), sandbox: sandbox.to_owned() })
    }

    /// A few at a time for all. Whoever has a turn must wait for no sandbox any more: those that
    /// run may wait for a turn.
    async fn turn(&self, is_foreign: bool) -> Result<OwnedSemaphorePermit, SnapshotError> {
        let turns = if is_foreign { &self.0.foreign_turns } else { &self.0.turns };
        let waiting = timeout(TURN_PATIENCE, turns.clone().acquire_owned());
        match self.0.closing.run_until_cancelled(waiting).await {
            Some(Ok(Ok(turn))) => Ok(turn),
            Some(Err(_)) => Err(SnapshotError::Crowded),
            Some(Ok(Err(_))) | None => Err(SnapshotError::ShuttingDown),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let busy = self.snapshots.0.busy.lock();
        busy.unwrap_or_else(PoisonError::into_inner).remove(&self.sandbox);
    }
}
