//! How snapshots go: on request, by their age, or because nothing came of them.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Place, SnapshotError, Snapshots,
    take::{BUCKET, object},
};
use crate::{clock::now_ms, store::SnapshotRow};

/// Between two looks for what is to be removed.
const PAUSE: Duration = Duration::from_secs(3600);
/// For what can be done again later.
const PATIENCE: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 24 * 3600 * 1000;

impl Snapshots {
    /// Removes a snapshot of a sandbox.
    pub(crate) async fn remove(
        &self,
        place: &Place,
        sandbox: &str,
        id: &str,
    ) -> Result<(), SnapshotError> {
        let found = self.find(place, sandbox, id).await?;
        if let Place::Foreign(foreign) = place {
            return self.looked_up(foreign.remove(&found.kept.id)).await;
        }
        let row = self.0.store.snapshot(id).await?.ok_or(SnapshotError::NotFound)?;
        let snapshots = self.clone();
        self.apart(async move { snapshots.erase(&row).await }).await
    }

    /// Finishes what the last process left half. Then, again and again, removes what is too old, and
    /// what could not be removed before.
    pub(super) async fn tidy(&self, left: Vec<SnapshotRow>) {
        self.discard_all(&left).await;
        loop {
            if let Err(error) = self.remove_old().await {
                tracing::error!(%error, "old snapshots are still there");
            }
            if self.0.closing.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
            match self.0.store.hidden_snapshots().await {
                Ok(rows) => self.discard_all(&rows).await,
                Err(error) => tracing::error!(%error, "removed snapshots could not be looked for"),
            }
        }
    }

    async fn discard_all(&self, rows: &[SnapshotRow]) {
        for row in rows {
            if self.0.closing.is_cancelled() {
                return;
            }
            self.discard(row).await;
        }
    }

    async fn remove_old(&self) -> Result<(), SnapshotError> {
        let Some(days) = self.0.days else { return Ok(()) };
        let age = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
        for row in self.0.store.snapshots_before(now_ms().saturating_sub(age)).await? {
            if self.0.closing.is_cancelled() {
                break;
            }
            self.erase(&row).await?;
        }
        Ok(())
    }

    /// Hides it first, so that the next start goes on where this one was cut off.
    pub(super) async fn erase(&self, row: &SnapshotRow) -> Result<(), SnapshotError> {
        self.0.store.hide_snapshot(&row.id).await?;
        self.discard(row).await;
        Ok(())
    }

    /// Removes what there is of a snapshot that nobody sees. What can't be removed now is tried
    /// again later.
    async fn discard(&self, row: &SnapshotRow) {
        self.cleaned(self.forget(row)).await;
    }

    async fn forget(&self, row: &SnapshotRow) -> Result<(), SnapshotError> {
        self.remove_object(row).await?;
        Ok(self.0.store.forget_snapshot(&row.id).await?)
    }

    /// Also while this process ends, but then not for long.
    pub(super) async fn cleaned(&self, work: impl Future<Output = Result<(), SnapshotError>>) {
        match timeout(PATIENCE, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what is left of a snapshot is still there"),
            Err(_) => tracing::warn!("what is left of a snapshot is still there: it took too long"),
        }
    }

    async fn remove_object(&self, row: &SnapshotRow) -> Result<(), SnapshotError> {
        if row.place != BUCKET {
            return Ok(self.0.folder.remove(&row.id).await?);
        }
        let Some(storage) = &self.0.own else {
            return Err(SnapshotError::Storage("its bucket is not configured".to_owned()));
        };
        let key = storage.key(&object(&row.id));
        if let Some(upload) = &row.upload {
            storage.bucket.abort(&key, upload).await?;
        }
        storage.bucket.remove(&key).await
    }
}
