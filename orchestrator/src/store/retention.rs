//! What is cut off the beginning of sessions' logs.

use super::{Result, Store, sql_int, unsigned};

/// Rows that are removed in one statement. Appends come in between.
const ROWS_AT_ONCE: i64 = 500;

/// Which events a log holds: `cut < seq <= last`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Number of the last event that was cut off, 0 while the log is whole.
    pub(crate) cut: u64,
    /// Number of the last event, 0 before the first. It stays when all events are cut off.
    pub(crate) last: u64,
}

/// A session's log as a whole.
#[derive(Clone, Debug)]
pub(crate) struct StoredLog {
    pub(crate) key: i64,
    pub(crate) id: String,
    pub(crate) bounds: Bounds,
    /// Rows stand that were cut off.
    pub(crate) has_remains: bool,
}

/// What may be cut off. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    /// As many events are kept, if there are that many.
    pub(crate) most: Option<u64>,
    /// Events from before this are old.
    pub(crate) old_before: Option<i64>,
    /// Nothing that happened since then is cut, and no turn that ended since.
    pub(crate) young_since: i64,
}

type Row = (i64, String, i64, Option<i64>, Option<i64>);

impl Store {
    pub(crate) async fn bounds(&self, session: i64) -> Result<Bounds> {
        let found: Option<(i64, Option<i64>)> = sqlx::query_as(
            "SELECT cut_seq, (SELECT MAX(seq) FROM events WHERE session = ?1)
             FROM sessions WHERE key = ?1",
        )
        .bind(session)
        .fetch_optional(&self.read)
        .await?;
        Ok(found.map_or_else(Bounds::default, |(cut, last)| bounds(cut, last)))
    }

    /// Logs of the sessions with greater keys, by key: so many at most.
    pub(crate) async fn logs_after(&self, key: i64, most: u32) -> Result<Vec<StoredLog>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT key, id, cut_seq,
                    (SELECT MIN(seq) FROM events WHERE session = sessions.key),
                    (SELECT MAX(seq) FROM events WHERE session = sessions.key)
             FROM sessions WHERE key > ?1 ORDER BY key LIMIT ?2",
        )
        .bind(key)
        .bind(most)
        .fetch_all(&self.read)
        .await?;
        let log = |(key, id, cut, first, last): Row| StoredLog {
            key,
            id,
            bounds: bounds(cut, last),
            has_remains: first.is_some_and(|first| first <= cut),
        };
        Ok(rows.into_iter().map(log).collect())
    }

    /// Number of the last event that is to be cut off now. Turns go whole or not at all.
    pub(crate) async fn cut_point(
        &self,
        session: i64,
        log: Bounds,
        cutting: Cutting,
    ) -> Result<u64> {
        let mut point = cutting.most.map_or(0, |most| log.last.saturating_sub(most)).max(log.cut);
        if let Some(time) = cutting.old_before {
            let kept = self.first_since(session, log, time).await?;
            point = point.max(kept.map_or(log.last, |kept| kept - 1));
        }
        if point > log.cut {
            let until = Bounds { last: point, ..log };
            let young = self.first_since(session, until, cutting.young_since).await?;
            point = young.map_or(point, |young| young - 1);
        }
        if point > log.cut {
            let first: Option<i64> = sqlx::query_scalar(
                "SELECT MIN(first_seq) FROM turns WHERE session = ?1 AND first_seq <= ?2
                     AND (state = 'running' OR last_seq > ?2 OR ended_at >= ?3)",
            )
            .bind(session)
            .bind(sql_int(point))
            .bind(cutting.young_since)
            .fetch_one(&self.read)
            .await?;
            point = first.map_or(point, |first| unsigned(first - 1));
        }
        Ok(point.max(log.cut))
    }

    /// Number of the first event within the bounds that happened at the time or later.
    async fn first_since(&self, session: i64, log: Bounds, time: i64) -> Result<Option<u64>> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM events WHERE session = ?1 AND seq > ?2 AND seq <= ?3 AND at >= ?4
             ORDER BY seq LIMIT 1",
        )
        .bind(session)
        .bind(sql_int(log.cut))
        .bind(sql_int(log.last))
        .bind(time)
        .fetch_optional(&self.read)
        .await?;
        Ok(found.map(unsigned))
    }

    /// Cuts off the events up to this number. Nobody may read them any more; their rows still stand.
    pub(crate) async fn cut(&self, session: i64, point: u64) -> Result<()> {
        sqlx::query("UPDATE sessions SET cut_seq = ?2 WHERE key = ?1 AND cut_seq < ?2")
            .bind(session)
            .bind(sql_int(point))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Removes rows that were cut off, a few hundred at most. `false`: there were none.
    pub(crate) async fn remove_remains(&self, session: i64) -> Result<bool> {
        let removed = sqlx::query(
            "DELETE FROM events WHERE session = ?1
                 AND seq <= (SELECT cut_seq FROM sessions WHERE key = ?1)
                 AND seq < (SELECT MIN(seq) FROM events WHERE session = ?1) + ?2",
        )
        .bind(session)
        .bind(ROWS_AT_ONCE)
        .execute(&self.write)
        .await?;
        Ok(removed.rows_affected() > 0)
    }
}

/// Numbers go on after the last one that was cut off.
fn bounds(cut: i64, last: Option<i64>) -> Bounds {
    Bounds { cut: unsigned(cut), last: unsigned(last.unwrap_or(0).max(cut)) }
}
