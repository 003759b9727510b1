//! Rows of snapshots.

use sqlx::FromRow;

use super::{Result, Store, sql_int, unsigned};

#[derive(Clone, Debug, FromRow)]
pub(crate) struct SnapshotRow {
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) created_at: i64,
    /// JSON arrays.
    pub(crate) tags: String,
    pub(crate) paths: String,
    pub(crate) size: i64,
    pub(crate) digest: String,
    pub(crate) place: String,
    pub(crate) upload: Option<String>,
}

impl Store {
    /// Notes a snapshot that is about to be made. `false`: the sandbox has so many already.
    pub(crate) async fn begin_snapshot(&self, row: &SnapshotRow, most: u64) -> Result<bool> {
        let inserted = sqlx::query(
            "INSERT INTO snapshots
                 (id, sandbox_id, created_at, tags, paths, size, digest, place, upload, state)
             SELECT ?1, ?2, ?3, ?4, ?5, 0, '', ?6, NULL, 'making'
             WHERE (SELECT count(*) FROM snapshots WHERE sandbox_id = ?2) < ?7",
        )
        .bind(&row.id)
        .bind(&row.sandbox_id)
        .bind(row.created_at)
        .bind(&row.tags)
        .bind(&row.paths)
        .bind(&row.place)
        .bind(sql_int(most))
        .execute(&self.write)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Notes the upload that is to be taken back when nothing comes of it.
    pub(crate) async fn save_upload(&self, id: &str, upload: &str) -> Result<()> {
        sqlx::query("UPDATE snapshots SET upload = ?2 WHERE id = ?1")
            .bind(id)
            .bind(upload)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Shows a snapshot whose object is whole. `false`: those in the local folder would have more
    /// than `most` bytes with it.
    pub(crate) async fn finish_snapshot(
        &self,
        id: &str,
        size: u64,
        digest: &str,
        most: u64,
    ) -> Result<bool> {
        let finished = sqlx::query(
            "UPDATE snapshots SET size = ?2, digest = ?3, state = 'ready'
             WHERE id = ?1 AND state = 'making' AND (place <> 'folder'
                 OR (SELECT coalesce(sum(size), 0) FROM snapshots WHERE place = 'folder')
                     <= ?4 - ?2)",
        )
        .bind(id)
        .bind(sql_int(size))
        .bind(digest)
        .bind(sql_int(most))
        .execute(&self.write)
        .await?;
        Ok(finished.rows_affected() == 1)
    }

    /// The snapshots of a sandbox, the newest first.
    pub(crate) async fn snapshots_of(&self, sandbox_id: &str) -> Result<Vec<SnapshotRow>> {
        Ok(sqlx::query_as(
            "SELECT id, sandbox_id, created_at, tags, paths, size, digest, place, upload
             FROM snapshots WHERE sandbox_id = ?1 AND state = 'ready'
             ORDER BY created_at DESC, id DESC",
        )
        .bind(sandbox_id)
        .fetch_all(&self.read)
        .await?)
    }

    pub(crate) async fn snapshot(&self, id: &str) -> Result<Option<SnapshotRow>> {
        Ok(sqlx::query_as(
            "SELECT id, sandbox_id, created_at, tags, paths, size, digest, place, upload
             FROM snapshots WHERE id = ?1 AND state = 'ready'",
        )
        .bind(id)
        .fetch_optional(&self.read)
        .await?)
    }

    /// Hides a snapshot that is about to be removed.
    pub(crate) async fn hide_snapshot(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE snapshots SET state = 'deleting' WHERE id = ?1")
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    pub(crate) async fn forget_snapshot(&self, id: &str) -> Result<()> {
        sqlx::query("DELETE FROM snapshots WHERE id = ?1").bind(id).execute(&self.write).await?;
        Ok(())
    }

    /// Those that were being made or removed when the last process ended.
    pub(crate) async fn unfinished_snapshots(&self) -> Result<Vec<SnapshotRow>> {
        Ok(sqlx::query_as(
            "SELECT id, sandbox_id, created_at, tags, paths, size, digest, place, upload
             FROM snapshots WHERE state <> 'ready'",
        )
        .fetch_all(&self.read)
        .await?)
    }

    /// Those that were removed, of which something is still there.
    pub(crate) async fn hidden_snapshots(&self) -> Result<Vec<SnapshotRow>> {
        Ok(sqlx::query_as(
            "SELECT id, sandbox_id, created_at, tags, paths, size, digest, place, upload
             FROM snapshots WHERE state = 'deleting'",
        )
        .fetch_all(&self.read)
        .await?)
    }

    /// Those made before a time, in milliseconds since the Unix epoch.
    pub(crate) async fn snapshots_before(&self, time: i64) -> Result<Vec<SnapshotRow>> {
        Ok(sqlx::query_as(
            "SELECT id, sandbox_id, created_at, tags, paths, size, digest, place, upload
             FROM snapshots WHERE created_at < ?1 AND state = 'ready'",
        )
        .bind(time)
        .fetch_all(&self.read)
        .await?)
    }

    /// Bytes of all snapshots in the local folder.
    pub(crate) async fn snapshots_size(&self) -> Result<u64> {
        let size: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(size), 0) FROM snapshots WHERE place = 'folder'",
        )
        .fetch_one(&self.read)
        .await?;
        Ok(unsigned(size))
    }
}
