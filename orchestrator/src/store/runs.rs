//! When sandboxes ran, for their usage.

use super::{Result, Store, unsigned};

/// How long ended runs are kept: longer than any period that is asked for.
const KEPT_MS: i64 = 100 * 24 * 3600 * 1000;

impl Store {
    /// A sandbox begins to run. Gives the key of its run.
    pub(crate) async fn begin_run(&self, sandbox: &str, now: i64) -> Result<i64> {
        Ok(sqlx::query_scalar(
            "INSERT INTO runs (sandbox_id, started_at, seen_at) VALUES (?1, ?2, ?2) RETURNING key",
        )
        .bind(sandbox)
        .bind(now)
        .fetch_one(&self.write)
        .await?)
    }

    pub(crate) async fn end_run(&self, run: i64, now: i64) -> Result<()> {
        sqlx::query("UPDATE runs SET ended_at = ?2 WHERE key = ?1")
            .bind(run)
            .bind(now)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Notes that what runs has run until now.
    pub(crate) async fn see_runs(&self, now: i64) -> Result<()> {
        sqlx::query("UPDATE runs SET seen_at = ?1 WHERE ended_at IS NULL")
            .bind(now)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Ends what a killed process left, where it was last seen.
    pub(crate) async fn close_runs(&self) -> Result<()> {
        sqlx::query("UPDATE runs SET ended_at = seen_at WHERE ended_at IS NULL")
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Forgets what is long over.
    pub(crate) async fn forget_runs(&self, now: i64) -> Result<()> {
        sqlx::query("DELETE FROM runs WHERE ended_at < ?1")
            .bind(now - KEPT_MS)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Milliseconds that sandboxes ran between two times, all added up. What still runs counts up
    /// to the second.
    pub(crate) async fn ran(&self, from: i64, until: i64) -> Result<u64> {
        let sum: i64 = sqlx::query_scalar(
            "SELECT COALESCE(SUM(MAX(0, MIN(COALESCE(ended_at, ?2), ?2) - MAX(started_at, ?1))), 0)
             FROM runs WHERE ended_at IS NULL OR ended_at > ?1",
        )
        .bind(from)
        .bind(until)
        .fetch_one(&self.read)
        .await?;
        Ok(unsigned(sum))
    }

    /// Sessions made and turns begun since then, of sandboxes that still exist.
    pub(crate) async fn counts_since(&self, from: i64) -> Result<(u64, u64)> {
        let (sessions, turns): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM sessions WHERE created_at >= ?1 AND id NOT LIKE '@%'),
                    (SELECT COUNT(*) FROM turns WHERE started_at >= ?1)",
        )
        .bind(from)
        .fetch_one(&self.read)
        .await?;
        Ok((unsigned(sessions), unsigned(turns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ran_is_counted_within_the_period_and_no_further_than_it_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("o.db")).await.unwrap();
        let first = store.begin_run("a", 1000).await.unwrap();
        store.end_run(first, 3000).await.unwrap();
        store.begin_run("b", 2000).await.unwrap();
        assert_eq!(store.ran(0, 5000).await.unwrap(), 2000 + 3000);
        assert_eq!(store.ran(2500, 4000).await.unwrap(), 500 + 1500);
        assert_eq!(store.ran(0, 1500).await.unwrap(), 500, "the second has not begun by then");
        store.see_runs(2600).await.unwrap();
        store.close_runs().await.unwrap();
        assert_eq!(store.ran(0, 9000).await.unwrap(), 2000 + 600, "it was killed after that");
        // A clock that was set back makes nobody younger.
        let back = store.begin_run("c", 9000).await.unwrap();
        store.end_run(back, 8000).await.unwrap();
        assert_eq!(store.ran(0, 9000).await.unwrap(), 2600);
        store.forget_runs(2700 + KEPT_MS).await.unwrap();
        assert_eq!(store.ran(0, 9000).await.unwrap(), 2000, "the second is long over");
        store.forget_runs(9000 + KEPT_MS).await.unwrap();
        assert_eq!(store.ran(0, 9000).await.unwrap(), 0, "nobody asks for it any more");
    }
}
