//! Rows of agent sessions: whose each is and in which sandbox it runs.

use sqlx::FromRow;

use super::{Result, Store};
use crate::clock::now_ms;

#[derive(Clone, Debug, FromRow)]
pub(crate) struct SessionRow {
    pub(crate) key: i64,
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) user_id: Option<String>,
}

impl Store {
    pub(crate) async fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        Ok(sqlx::query_as("SELECT key, id, sandbox_id, user_id FROM sessions WHERE id = ?1")
            .bind(id)
            .fetch_optional(&self.read)
            .await?)
    }

    pub(crate) async fn sessions_of(&self, sandbox: &str) -> Result<Vec<SessionRow>> {
        Ok(sqlx::query_as(
            "SELECT key, id, sandbox_id, user_id FROM sessions WHERE sandbox_id = ?1",
        )
        .bind(sandbox)
        .fetch_all(&self.read)
        .await?)
    }

    /// Ids of a sandbox's agent sessions, the newest first, so many at most.
    pub(crate) async fn newest_sessions(&self, sandbox: &str, most: u32) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM sessions WHERE sandbox_id = ?1 AND id NOT LIKE '@%'
             ORDER BY key DESC LIMIT ?2",
        )
        .bind(sandbox)
        .bind(most)
        .fetch_all(&self.read)
        .await?)
    }

    /// The session of that id; made in the given sandbox if it is new.
    pub(crate) async fn open_session(&self, id: &str, sandbox: &str) -> Result<SessionRow> {
        // The update changes nothing; it makes the statement return the row that stands.
        Ok(sqlx::query_as(
            "INSERT INTO sessions (id, sandbox_id, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET id = excluded.id
             RETURNING key, id, sandbox_id, user_id",
        )
        .bind(id)
        .bind(sandbox)
        .bind(now_ms())
        .fetch_one(&self.write)
        .await?)
    }

    /// Says whose the session is. `None`: it is another user's, or it runs in another sandbox.
    pub(crate) async fn map_session(
        &self,
        id: &str,
        sandbox: &str,
        user: &str,
        runtime_id: Option<&str>,
    ) -> Result<Option<SessionRow>> {
        Ok(sqlx::query_as(
            "INSERT INTO sessions (id, sandbox_id, user_id, runtime_session_id, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET
                 user_id = excluded.user_id, runtime_session_id = excluded.runtime_session_id
             WHERE sessions.sandbox_id = excluded.sandbox_id
                 AND (sessions.user_id IS NULL OR sessions.user_id = excluded.user_id)
             RETURNING key, id, sandbox_id, user_id",
        )
        .bind(id)
        .bind(sandbox)
        .bind(user)
        .bind(runtime_id)
        .bind(now_ms())
        .fetch_optional(&self.write)
        .await?)
    }
}
