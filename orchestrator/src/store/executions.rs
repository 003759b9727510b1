//! Turns found by their ids alone, and what a session as a whole holds.

use futures::TryStreamExt;
use sqlx::{FromRow, SqliteConnection};

use super::{Result, Store, TurnRow, sql_int, turns::COLUMNS, unsigned};

/// What was said in a turn.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct SaidRow {
    pub(crate) id: String,
    pub(crate) state: String,
    /// What the person said; not known of turns of older versions.
    pub(crate) prompt: Option<String>,
    /// The agent's parts, as JSON.
    pub(crate) parts: String,
    first_seq: i64,
    pub(crate) started_at: i64,
    pub(crate) ended_at: Option<i64>,
}

impl SaidRow {
    /// Number of the turn's first event.
    pub(crate) fn first_seq(&self) -> u64 {
        unsigned(self.first_seq)
    }

    fn size(&self) -> usize {
        self.parts.len() + self.prompt.as_ref().map_or(0, String::len) + 256
    }
}

/// What came last in a session.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct LastRow {
    /// When its newest event came, if one is kept.
    pub(crate) event_at: Option<i64>,
    /// Where the turn stands that it began last.
    pub(crate) turn: Option<String>,
}

/// A session in a list.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct ListedSession {
    pub(crate) id: String,
    pub(crate) created_at: i64,
}

impl Store {
    /// The turn of that id in a sandbox, and the id of its session.
    pub(crate) async fn turn_in_sandbox(
        &self,
        sandbox: &str,
        id: &str,
    ) -> Result<Option<(String, TurnRow)>> {
        let session: Option<(i64, String)> = sqlx::query_as(
            "SELECT sessions.key, sessions.id FROM turns
             JOIN sessions ON sessions.key = turns.session
             WHERE turns.id = ?2 AND sessions.sandbox_id = ?1
             ORDER BY turns.started_at LIMIT 1",
        )
        .bind(sandbox)
        .bind(id)
        .fetch_optional(&self.read)
        .await?;
        let Some((key, session)) = session else { return Ok(None) };
        Ok(self.turn(key, id).await?.map(|turn| (session, turn)))
    }

    /// Whether another session of the same sandbox has a turn of that id.
    pub(crate) async fn is_turn_elsewhere(
        connection: &mut SqliteConnection,
        session: i64,
        id: &str,
    ) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM turns JOIN sessions AS others ON others.key = turns.session
             JOIN sessions AS this ON this.sandbox_id = others.sandbox_id
             WHERE turns.id = ?2 AND this.key = ?1 AND others.key <> ?1 LIMIT 1",
        )
        .bind(session)
        .bind(id)
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }

    /// The turn that a session began last.
    pub(crate) async fn last_turn(&self, session: i64) -> Result<Option<TurnRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM turns WHERE session = ?1 ORDER BY first_seq DESC LIMIT 1"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(session)
            .fetch_optional(&self.read)
            .await?)
    }

    /// When a session said something last, and how that ended.
    pub(crate) async fn last_of(&self, session: i64) -> Result<LastRow> {
        Ok(sqlx::query_as(
            "SELECT (SELECT at FROM events WHERE session = ?1 ORDER BY seq DESC LIMIT 1)
                        AS event_at,
                    (SELECT state FROM turns WHERE session = ?1 ORDER BY first_seq DESC LIMIT 1)
                        AS turn",
        )
        .bind(session)
        .fetch_one(&self.read)
        .await?)
    }

    /// What was said in the turns that began before the event of that number, the newest first: as
    /// many as `limit` and `max_bytes` allow, but at least one.
    pub(crate) async fn said(
        &self,
        session: i64,
        before: Option<u64>,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<SaidRow>> {
        let mut rows = sqlx::query_as::<_, SaidRow>(
            "SELECT id, state, prompt, parts, first_seq, started_at, ended_at FROM turns
             WHERE session = ?1 AND (?2 IS NULL OR first_seq < ?2)
             ORDER BY first_seq DESC LIMIT ?3",
        )
        .bind(session)
        .bind(before.map(sql_int))
        .bind(limit)
        .fetch(&self.read);
        let (mut said, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes
            && let Some(row) = rows.try_next().await?
        {
            bytes += row.size();
            said.push(row);
        }
        Ok(said)
    }

    /// Agent sessions of a sandbox, the newest first, and how many there are.
    pub(crate) async fn agent_sessions(
        &self,
        sandbox: &str,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<ListedSession>, u64)> {
        let listed = sqlx::query_as(
            "SELECT id, created_at FROM sessions WHERE sandbox_id = ?1 AND id NOT LIKE '@%'
             ORDER BY key DESC LIMIT ?2 OFFSET ?3",
        )
        .bind(sandbox)
        .bind(limit)
        .bind(offset)
        .fetch_all(&self.read)
        .await?;
        let total: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sessions WHERE sandbox_id = ?1 AND id NOT LIKE '@%'",
        )
        .bind(sandbox)
        .fetch_one(&self.read)
        .await?;
        Ok((listed, unsigned(total)))
    }

    /// Removes a session with its turns and its events.
    pub(crate) async fn delete_session(&self, key: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        for sql in [
            "DELETE FROM events WHERE session = ?1",
            "DELETE FROM turns WHERE session = ?1",
            "DELETE FROM sessions WHERE key = ?1",
        ] {
            sqlx::query(sql).bind(key).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
