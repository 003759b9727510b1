//! Rows of agent sessions: whose each is and in which sandbox it runs.

use sqlx::{FromRow, SqliteConnection};

use super::{Result, Store};
use crate::clock::now_ms;

#[derive(Clone, Debug, FromRow)]
pub(crate) struct SessionRow {
    pub(crate) key: i64,
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) user_id: Option<String>,
}

/// A mapping as it stands now.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) session: SessionRow,
    /// The session that its viewers are shown in its place.
    pub(crate) runtime: Option<SessionRow>,
    /// They were shown another one before.
    pub(crate) is_moved: bool,
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

    /// Where a session runs and the name that it is mapped to there, if it is to another one.
    pub(crate) async fn runtime_session(&self, id: &str) -> Result<Option<(String, String)>> {
        Ok(sqlx::query_as(
            "SELECT sandbox_id, runtime_session_id FROM sessions
             WHERE id = ?1 AND runtime_session_id IS NOT NULL",
        )
        .bind(id)
        .fetch_optional(&self.read)
        .await?)
    }

    /// Says whose the session is, and which other one its viewers are shown. `None`, and nothing is
    /// changed: one of the two is another user's, or it runs in another sandbox.
    pub(crate) async fn map_session(
        &self,
        id: &str,
        sandbox: &str,
        user: &str,
        runtime_id: Option<&str>,
    ) -> Result<Option<Mapped>> {
        let mut transaction = self.begin().await?;
        let before: Option<Option<String>> =
            sqlx::query_scalar("SELECT runtime_session_id FROM sessions WHERE id = ?1")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        let Some(session) = claim(&mut transaction, id, sandbox, user).await? else {
            return Ok(None);
        };
        let mut runtime = None;
        if let Some(runtime_id) = runtime_id {
            runtime = claim(&mut transaction, runtime_id, sandbox, user).await?;
            if runtime.is_none() {
                return Ok(None);
            }
        }
        sqlx::query("UPDATE sessions SET runtime_session_id = ?2 WHERE key = ?1")
            .bind(session.key)
            .bind(runtime_id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let is_moved = before.flatten().as_deref() != runtime_id;
        Ok(Some(Mapped { session, runtime, is_moved }))
    }
}

/// Makes the session the user's. `None`: it is another one's, or it runs in another sandbox.
async fn claim(
    connection: &mut SqliteConnection,
    id: &str,
    sandbox: &str,
    user: &str,
) -> Result<Option<SessionRow>> {
    Ok(sqlx::query_as(
        "INSERT INTO sessions (id, sandbox_id, user_id, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id
         WHERE sessions.sandbox_id = excluded.sandbox_id
             AND (sessions.user_id IS NULL OR sessions.user_id = excluded.user_id)
         RETURNING key, id, sandbox_id, user_id",
    )
    .bind(id)
    .bind(sandbox)
    .bind(user)
    .bind(now_ms())
    .fetch_optional(connection)
    .await?)
}
