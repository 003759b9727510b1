//! How a snapshot is taken.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use futures::StreamExt;
use sandbox_sdk::types::TakeSnapshot;
use tracing::{Instrument, field::Empty};

use super::{Foreign, Kept, Place, SnapshotError, Snapshots, bucket, folder, request};
use crate::{
    sandboxes::Lease,
    sidecar::{Packed, SidecarClient, SidecarError},
    store::SnapshotRow,
    traces::TARGET,
};

/// Snapshots that are kept of one sandbox.
const MAX_PER_SANDBOX: u64 = 100;
/// Where a row says that its object is.
pub(super) const FOLDER: &str = "folder";
pub(super) const BUCKET: &str = "bucket";

/// An archive on its way to its place. Nobody sees it before it is finished.
enum Draft {
    File(folder::Draft),
    Object(bucket::Upload),
}

/// What this snapshot has of the room in the folder while no row tells of it.
struct Share<'a> {
    all: &'a AtomicU64,
    mine: u64,
}

impl Snapshots {
    /// Refuses what can't be taken a snapshot of. Gives the request as it is meant.
    pub(crate) fn check(take: TakeSnapshot) -> Result<TakeSnapshot, SnapshotError> {
        request::check(take)
    }

    /// Takes a snapshot of what is there. Files that change meanwhile are as they are found. It goes
    /// on when the caller goes away. `take`: as `check` gave it.
    pub(crate) async fn take(
        &self,
        lease: Lease,
        sandbox: &str,
        place: Place,
        take: TakeSnapshot,
    ) -> Result<Kept, SnapshotError> {
        let claim = self.claim(sandbox)?;
        let (snapshots, sandbox) = (self.clone(), sandbox.to_owned());
        let traced = tracing::info_span!(
            target: TARGET,
            "snapshot.take",
            sandbox.id = sandbox,
            failed = Empty,
        );
        let taken = traced.clone();
        let work = async move {
            let turn = snapshots.turn(matches!(place, Place::Foreign(_))).await?;
            let kept = Kept::new(take.tags, take.paths);
            let made = match place {
                Place::Own => snapshots.make_own(lease.sidecar(), &sandbox, kept).await,
                Place::Foreign(foreign) => {
                    snapshots.make_foreign(lease.sidecar(), &foreign, kept).await
                }
            };
            drop((turn, claim, lease));
            taken.record("failed", made.is_err());
            made
        };
        self.apart(work.instrument(traced)).await
    }

    async fn make_own(
        &self,
        sidecar: &SidecarClient,
        sandbox: &str,
        mut kept: Kept,
    ) -> Result<Kept, SnapshotError> {
        let place = if self.0.own.is_some() { BUCKET } else { FOLDER };
        let mut row = row(&kept, sandbox, place)?;
        if !self.0.store.begin_snapshot(&row, MAX_PER_SANDBOX).await? {
            return Err(SnapshotError::TooMany(MAX_PER_SANDBOX));
        }
        let made = self.bounded(self.fill(sidecar, &mut row, &mut kept)).await;
        if made.is_err()
            && let Err(error) = self.erase(&row).await
        {
            tracing::warn!(%error, "what is left of a snapshot is still there");
        }
        made.map(|()| kept)
    }

    async fn fill(
        &self,
        sidecar: &SidecarClient,
        row: &mut SnapshotRow,
        kept: &mut Kept,
    ) -> Result<(), SnapshotError> {
        let draft = match &self.0.own {
            None => Draft::File(self.0.folder.begin(&row.id).await?),
            Some(storage) => {
                let upload = storage.bucket.begin(&storage.key(&object(&row.id))).await?;
                row.upload = Some(upload.id().to_owned());
                self.0.store.save_upload(&row.id, upload.id()).await?;
                Draft::Object(upload)
            }
        };
        self.pour(sidecar, kept, draft).await?;
        // Others may have become whole meanwhile.
        let finished =
            self.0.store.finish_snapshot(&row.id, kept.size, &kept.sha256, self.0.total).await?;
        if finished { Ok(()) } else { Err(SnapshotError::NoRoom) }
    }

    /// In somebody else's bucket there is no row to find a half one by; what was cut off with this
    /// process is never listed, and is the bucket's own rules' to remove.
    async fn make_foreign(
        &self,
        sidecar: &SidecarClient,
        foreign: &Foreign,
        mut kept: Kept,
    ) -> Result<Kept, SnapshotError> {
        let key = foreign.object(&kept.id);
        let bucket = &foreign.storage.bucket;
        let upload = self.bounded(bucket.begin(&key)).await?;
        let id = upload.id().to_owned();
        let work = async {
            self.pour(sidecar, &mut kept, Draft::Object(upload)).await?;
            foreign.publish(&kept).await
        };
        if let Err(error) = self.bounded(work).await {
            let cleaned = async {
                bucket.abort(&key, &id).await?;
                foreign.remove(&kept.id).await
            };
            self.cleaned(cleaned).await;
            return Err(error);
        }
        Ok(kept)
    }

    /// Packs, counts and writes. What is too large is ended where it is.
    async fn pour(
        &self,
        sidecar: &SidecarClient,
        kept: &mut Kept,
        mut draft: Draft,
    ) -> Result<(), SnapshotError> {
        let free = match &draft {
            Draft::File(_) => {
                let left = self.0.total.saturating_sub(self.0.store.snapshots_size().await?);
                left.min(self.0.folder.room()?)
            }
            Draft::Object(_) => u64::MAX,
        };
        let paths = if kept.paths.is_empty() { request::everything() } else { kept.paths.clone() };
        let mut archive = sidecar.pack(&paths).await?;
        let mut share = Share { all: &self.0.written, mine: 0 };
        let mut digest = Context::new(&SHA256);
        while let Some(piece) = archive.next().await {
            let piece = match piece? {
                Packed::Piece(piece) => piece,
                Packed::LeftOut(count) => {
                    kept.left_out = count;
                    continue;
                }
            };
            kept.size = kept.size.saturating_add(piece.len() as u64);
            if kept.size > self.0.largest << 20 {
                return Err(SnapshotError::TooLarge(self.0.largest));
            }
            if matches!(draft, Draft::File(_)) && share.add(piece.len() as u64) > free {
                return Err(SnapshotError::NoRoom);
            }
            digest.update(&piece);
            draft.write(&piece).await?;
        }
        if kept.size == 0 {
            let words = "it packed nothing".to_owned();
            return Err(SidecarError::Nonsense(words).into());
        }
        kept.sha256 = hex::encode(digest.finish().as_ref());
        draft.finish().await
    }
}

impl Draft {
    async fn write(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        match self {
            Self::File(file) => Ok(file.write(piece).await?),
            Self::Object(upload) => upload.write(piece).await,
        }
    }

    async fn finish(self) -> Result<(), SnapshotError> {
        match self {
            Self::File(file) => Ok(file.finish().await?),
            Self::Object(upload) => upload.finish().await,
        }
    }
}

impl Share<'_> {
    /// What all have by then.
    fn add(&mut self, bytes: u64) -> u64 {
        self.mine += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// Name of a snapshot's object in the bucket of the configuration.
pub(super) fn object(id: &str) -> String {
    format!("{id}.tar.gz")
}

fn row(kept: &Kept, sandbox: &str, place: &str) -> Result<SnapshotRow, SnapshotError> {
    let text =
        |texts: &[String]| serde_json::to_string(texts).map_err(crate::store::StoreError::from);
    Ok(SnapshotRow {
        id: kept.id.clone(),
        sandbox_id: sandbox.to_owned(),
        created_at: kept.created_at,
        tags: text(&kept.tags)?,
        paths: text(&kept.paths)?,
        size: 0,
        digest: String::new(),
        place: place.to_owned(),
        upload: None,
    })
}
