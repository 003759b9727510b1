//! Rows of sandboxes.

use sqlx::FromRow;

use super::{Result, Store, sql_int};

#[derive(Clone, Debug, FromRow)]
pub(crate) struct SandboxRow {
    pub(crate) id: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) created_at: i64,
    /// The last time.
    pub(crate) started_at: Option<i64>,
    pub(crate) first_started_at: Option<i64>,
    /// Its lifetime is over.
    pub(crate) expired_at: Option<i64>,
    pub(crate) last_activity_at: i64,
    /// It does not outlive the process that made it.
    pub(crate) ephemeral: bool,
}

/// A sandbox and, sealed, what it was made with. Older versions left that as it came.
#[derive(FromRow)]
pub(crate) struct StoredSandbox {
    #[sqlx(flatten)]
    pub(crate) row: SandboxRow,
    pub(crate) request: String,
    /// Stands in the request as well.
    pub(crate) max_lifetime_seconds: Option<i64>,
}

impl Store {
    /// Inserts the row, what the sandbox is made with, and of that the lifetime in seconds.
    /// `false`: a sandbox of that id or idempotency key stands already.
    pub(crate) async fn insert_sandbox(
        &self,
        row: &SandboxRow,
        request: &str,
        max_lifetime: Option<u64>,
    ) -> Result<bool> {
        let inserted = sqlx::query(
            "INSERT INTO sandboxes (id, idempotency_key, request, status, created_at,
                 last_activity_at, ephemeral, max_lifetime_seconds)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )
        .bind(&row.id)
        .bind(&row.idempotency_key)
        .bind(request)
        .bind(&row.status)
        .bind(row.created_at)
        .bind(row.last_activity_at)
        .bind(row.ephemeral)
        .bind(max_lifetime.map(sql_int))
        .execute(&self.write)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    pub(crate) async fn sandboxes(&self) -> Result<Vec<StoredSandbox>> {
        Ok(sqlx::query_as(
            "SELECT id, idempotency_key, request, status, error, created_at, started_at,
                 first_started_at, expired_at, last_activity_at, ephemeral, max_lifetime_seconds
             FROM sandboxes ORDER BY created_at, id",
        )
        .fetch_all(&self.read)
        .await?)
    }

    /// Saves what changes in the life of a sandbox. That it is deleted is never taken back.
    pub(crate) async fn save_sandbox(&self, row: &SandboxRow) -> Result<()> {
        sqlx::query(
            "UPDATE sandboxes SET status = ?2, error = ?3, started_at = ?4, last_activity_at = ?5,
                 first_started_at = ?6, expired_at = ?7
             WHERE id = ?1 AND (status <> 'deleted' OR ?2 = 'deleted')",
        )
        .bind(&row.id)
        .bind(&row.status)
        .bind(&row.error)
        .bind(row.started_at)
        .bind(row.last_activity_at)
        .bind(row.first_started_at)
        .bind(row.expired_at)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Saves what a sandbox is made with, and of that the lifetime in seconds. Apart from its life,
    /// which goes on meanwhile.
    pub(crate) async fn save_request(
        &self,
        id: &str,
        request: &str,
        max_lifetime: Option<u64>,
    ) -> Result<()> {
        sqlx::query("UPDATE sandboxes SET request = ?2, max_lifetime_seconds = ?3 WHERE id = ?1")
            .bind(id)
            .bind(request)
            .bind(max_lifetime.map(sql_int))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Removes a sandbox with its sessions, their turns and their events. Gives the sessions' ids.
    pub(crate) async fn delete_sandbox(&self, id: &str) -> Result<Vec<String>> {
        let mut transaction = self.begin().await?;
        let sessions = sqlx::query_scalar("SELECT id FROM sessions WHERE sandbox_id = ?1")
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
        for sql in [
            "DELETE FROM events WHERE session IN (SELECT key FROM sessions WHERE sandbox_id = ?1)",
            "DELETE FROM turns WHERE session IN (SELECT key FROM sessions WHERE sandbox_id = ?1)",
            "DELETE FROM sessions WHERE sandbox_id = ?1",
            "DELETE FROM sandboxes WHERE id = ?1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(sessions)
    }
}
