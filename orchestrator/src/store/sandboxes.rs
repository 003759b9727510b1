//! Rows of sandboxes.

use sandbox_sdk::types::CreateSandbox;
use sqlx::FromRow;

use super::{Result, Store};

const COLUMNS: &str = "id, idempotency_key, request, status, error, created_at, started_at, \
    last_activity_at";

#[derive(Clone, Debug, FromRow)]
pub(crate) struct SandboxRow {
    pub(crate) id: String,
    pub(crate) idempotency_key: Option<String>,
    /// `CreateSandbox` as JSON.
    pub(crate) request: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) last_activity_at: i64,
}

impl SandboxRow {
    pub(crate) fn request(&self) -> Result<CreateSandbox> {
        Ok(serde_json::from_str(&self.request)?)
    }
}

impl Store {
    /// Inserts the row. `false`: a sandbox of that id or idempotency key stands already.
    pub(crate) async fn insert_sandbox(&self, row: &SandboxRow) -> Result<bool> {
        let inserted = sqlx::query(
            "INSERT INTO sandboxes (id, idempotency_key, request, status, created_at,
                 last_activity_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .bind(&row.id)
        .bind(&row.idempotency_key)
        .bind(&row.request)
        .bind(&row.status)
        .bind(row.created_at)
        .bind(row.last_activity_at)
        .execute(&self.write)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    pub(crate) async fn sandboxes(&self) -> Result<Vec<SandboxRow>> {
        let sql = format!("SELECT {COLUMNS} FROM sandboxes ORDER BY created_at, id");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&self.read).await?)
    }

    /// Saves what changes in the life of a sandbox. That it is deleted is never taken back.
    pub(crate) async fn save_sandbox(&self, row: &SandboxRow) -> Result<()> {
        sqlx::query(
            "UPDATE sandboxes SET status = ?2, error = ?3, started_at = ?4, last_activity_at = ?5
             WHERE id = ?1 AND (status <> 'deleted' OR ?2 = 'deleted')",
        )
        .bind(&row.id)
        .bind(&row.status)
        .bind(&row.error)
        .bind(row.started_at)
        .bind(row.last_activity_at)
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
