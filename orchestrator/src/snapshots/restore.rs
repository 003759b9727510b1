//! How a snapshot is found, and how it goes back into a sandbox.

use std::pin::pin;

use futures::StreamExt;
use tokio_util::io::ReaderStream;

use super::{
    Foreign, Kept, Place, SnapshotError, Snapshots,
    checked::{Pieces, Verdict, checked},
    request,
    take::{BUCKET, object},
};
use crate::{
    sandboxes::Lease,
    sidecar::{HOME, SidecarClient, SidecarError, WORKSPACE},
};

/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;

/// A snapshot, and where its object is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kept: Kept,
    pub(super) source: Source,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    File,
    Object,
    Foreign(Box<Foreign>),
}

impl Snapshots {
    /// One snapshot of a sandbox, or of a project in a bucket.
    pub(crate) async fn find(
        &self,
        place: &Place,
        sandbox: &str,
        id: &str,
    ) -> Result<Found, SnapshotError> {
        if !request::is_id(id) {
            return Err(SnapshotError::NotFound);
        }
        match place {
            Place::Own => self.find_own(id, Some(sandbox)).await,
            Place::Foreign(foreign) => {
                let kept = self.looked_up(foreign.find(id)).await?;
                Ok(Found { kept, source: Source::Foreign(foreign.clone()) })
            }
        }
    }

    /// The newest snapshot.
    pub(crate) async fn newest(
        &self,
        place: &Place,
        sandbox: &str,
    ) -> Result<Found, SnapshotError> {
        match place {
            Place::Own => {
                let rows = self.0.store.snapshots_of(sandbox).await?;
                let newest = rows.first().ok_or(SnapshotError::NotFound)?;
                self.find_own(&newest.id, Some(sandbox)).await
            }
            Place::Foreign(foreign) => {
                let kept = self.looked_up(foreign.newest()).await?;
                Ok(Found { kept, source: Source::Foreign(foreign.clone()) })
            }
        }
    }

    /// `sandbox`: whose it must be, if that matters.
    pub(super) async fn find_own(
        &self,
        id: &str,
        sandbox: Option<&str>,
    ) -> Result<Found, SnapshotError> {
        let row = self.0.store.snapshot(id).await?;
        let row = row.filter(|row| sandbox.is_none_or(|sandbox| row.sandbox_id == sandbox));
        let row = row.ok_or(SnapshotError::NotFound)?;
        let source = if row.place == BUCKET { Source::Object } else { Source::File };
        Ok(Found { kept: Kept::of_row(&row).ok_or(SnapshotError::Damaged)?, source })
    }

    /// The folder that a snapshot is to be unpacked into. `None`: where it was, which is what the
    /// folders mean that it comes from.
    pub(crate) fn destination(path: &str) -> Result<Option<String>, SnapshotError> {
        if path == "/" {
            return Ok(None);
        }
        let path = request::inside(path)?;
        Ok((path != WORKSPACE && path != HOME).then_some(path))
    }

    /// Puts a snapshot into a sandbox, or nothing of it. A snapshot of everything takes the place of
    /// all that is there; one of some paths, or one with a destination, is added to it. It goes on
    /// when the caller goes away.
    pub(crate) async fn restore(
        &self,
        lease: Lease,
        sandbox: &str,
        found: Found,
        destination: Option<String>,
    ) -> Result<Kept, SnapshotError> {
        let claim = self.claim(sandbox)?;
        let snapshots = self.clone();
        self.apart(async move {
            let turn = snapshots.turn(matches!(found.source, Source::Foreign(_))).await?;
            let restored = snapshots.put(lease.sidecar(), &found, destination.as_deref()).await;
            drop((turn, claim, lease));
            restored.map(|()| found.kept)
        })
        .await
    }

    /// Whoever asks has a turn.
    pub(super) async fn put(
        &self,
        sidecar: &SidecarClient,
        found: &Found,
        destination: Option<&str>,
    ) -> Result<(), SnapshotError> {
        // Twice, since a sandbox may put files in their place before it has read all of it.
        self.bounded(self.verify(found)).await?;
        let pieces = self.bounded(self.object(found)).await?;
        let verdict = Verdict::default();
        let archive = checked(pieces, &found.kept, self.0.largest, verdict.clone());
        let (path, clear) = match destination {
            Some(path) => (path, false),
            None => ("/", found.kept.paths.is_empty()),
        };
        let unpacked = self.bounded(async { Ok(sidecar.unpack(path, clear, archive).await?) });
        match (unpacked.await, verdict.take()) {
            // What was wrong with the object says more than what the sandbox made of it.
            (_, Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(unpacked), Some(Ok(()))) => {
                let (files, bytes) = (unpacked.files, unpacked.bytes);
                tracing::info!(id = found.kept.id, files, bytes, "snapshot restored");
                Ok(())
            }
            (Ok(_), None) => {
                let words = "it unpacked what it had not read".to_owned();
                Err(SidecarError::Nonsense(words).into())
            }
        }
    }

    /// Reads the object to its end, and refuses one that is not what was kept.
    async fn verify(&self, found: &Found) -> Result<(), SnapshotError> {
        let pieces = self.object(found).await?;
        let verdict = Verdict::default();
        let mut read = pin!(checked(pieces, &found.kept, self.0.largest, verdict.clone()));
        while let Some(Ok(_)) = read.next().await {}
        verdict.take().unwrap_or(Err(SnapshotError::Damaged))
    }

    async fn object(&self, found: &Found) -> Result<Pieces, SnapshotError> {
        let id = &found.kept.id;
        match &found.source {
            Source::File => {
                let file = self.0.folder.read(id).await.map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => SnapshotError::Damaged,
                    _ => error.into(),
                })?;
                let pieces = ReaderStream::with_capacity(file, PIECE);
                Ok(pieces.map(|piece| piece.map_err(SnapshotError::from)).boxed())
            }
            Source::Object => {
                let storage = self.0.own.as_ref().ok_or_else(|| {
                    SnapshotError::Storage("its bucket is not configured".to_owned())
                })?;
                Ok(storage.bucket.read(&storage.key(&object(id))).await.map_err(lost)?.boxed())
            }
            Source::Foreign(foreign) => {
                let key = foreign.object(id);
                Ok(foreign.storage.bucket.read(&key).await.map_err(lost)?.boxed())
            }
        }
    }
}

/// There is such a snapshot, but not its object.
fn lost(error: SnapshotError) -> SnapshotError {
    match error {
        SnapshotError::NotFound => SnapshotError::Damaged,
        error => error,
    }
}
