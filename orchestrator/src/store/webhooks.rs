//! What the product is still to be told. A row stands until its webhook is delivered or given up.

use sqlx::{FromRow, SqliteConnection};

use super::{Result, Store, unsigned};

/// A webhook to be sent.
#[derive(Clone, Debug)]
pub(crate) struct NewWebhook {
    /// Of the event, the same in every try.
    pub(crate) id: String,
    pub(crate) session_id: String,
    pub(crate) turn_id: String,
    /// As it is signed and sent.
    pub(crate) body: String,
    pub(crate) created_at: i64,
}

/// A webhook that waits.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct WebhookRow {
    pub(crate) key: i64,
    pub(crate) turn_id: String,
    pub(crate) body: String,
    pub(crate) created_at: i64,
    tries: i64,
}

impl WebhookRow {
    /// How often it was sent in vain since the start.
    pub(crate) fn tries(&self) -> u32 {
        u32::try_from(self.tries).unwrap_or(u32::MAX)
    }
}

impl Store {
    /// Notes a webhook, together with what it tells of. One that is known changes nothing.
    pub(crate) async fn insert_webhook(
        connection: &mut SqliteConnection,
        webhook: &NewWebhook,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO webhooks (id, session_id, turn_id, body, created_at, due_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&webhook.id)
        .bind(&webhook.session_id)
        .bind(&webhook.turn_id)
        .bind(&webhook.body)
        .bind(webhook.created_at)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Notes a webhook of a turn whose record is gone.
    pub(crate) async fn keep_webhook(&self, webhook: &NewWebhook) -> Result<()> {
        let mut connection = self.write.acquire().await?;
        Self::insert_webhook(&mut connection, webhook).await
    }

    /// Webhooks that are due, those first that have waited longest. Of a session only the oldest is:
    /// the others come after it.
    pub(crate) async fn due_webhooks(&self, now: i64, most: u32) -> Result<Vec<WebhookRow>> {
        Ok(sqlx::query_as(
            "SELECT key, turn_id, body, created_at, tries FROM webhooks
             WHERE due_at <= ?1 AND NOT EXISTS (
                 SELECT 1 FROM webhooks AS earlier
                 WHERE earlier.session_id = webhooks.session_id AND earlier.key < webhooks.key
             )
             ORDER BY due_at, key LIMIT ?2",
        )
        .bind(now)
        .bind(most)
        .fetch_all(&self.read)
        .await?)
    }

    /// When the next webhook will be due that is not due yet.
    pub(crate) async fn next_webhook(&self, now: i64) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar("SELECT MIN(due_at) FROM webhooks WHERE due_at > ?1")
            .bind(now)
            .fetch_one(&self.read)
            .await?)
    }

    /// Notes a try that came to nothing, and when the next one is due.
    pub(crate) async fn delay_webhook(&self, key: i64, due_at: i64) -> Result<()> {
        sqlx::query("UPDATE webhooks SET tries = tries + 1, due_at = ?2 WHERE key = ?1")
            .bind(key)
            .bind(due_at)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    pub(crate) async fn forget_webhook(&self, key: i64) -> Result<()> {
        sqlx::query("DELETE FROM webhooks WHERE key = ?1").bind(key).execute(&self.write).await?;
        Ok(())
    }

    /// Forgets those that were noted before a time, in milliseconds since the Unix epoch, and were tried
    /// in vain. What only waited behind one of them has a try of its own first. Gives how many.
    pub(crate) async fn forget_webhooks_before(&self, time: i64) -> Result<u64> {
        let forgotten = sqlx::query("DELETE FROM webhooks WHERE created_at < ?1 AND tries > 0")
            .bind(time)
            .execute(&self.write)
            .await?;
        Ok(forgotten.rows_affected())
    }

    /// Forgets all there are. Gives how many.
    pub(crate) async fn forget_webhooks(&self) -> Result<u64> {
        let forgotten = sqlx::query("DELETE FROM webhooks").execute(&self.write).await?;
        Ok(forgotten.rows_affected())
    }

    /// Makes all due at once that would be due after a time, and as if they had never been tried.
    pub(crate) async fn recall_webhooks(&self, after: i64) -> Result<()> {
        sqlx::query("UPDATE webhooks SET tries = 0, due_at = 0 WHERE due_at > ?1")
            .bind(after)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    pub(crate) async fn count_webhooks(&self) -> Result<u64> {
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM webhooks").fetch_one(&self.read).await?;
        Ok(unsigned(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that holds a webhook of each session, in that order, made at the times 1, 2, 3 and so on.
    async fn store_with(folder: &std::path::Path, sessions: &[&str]) -> Store {
        let store = Store::open(&folder.join("o.db")).await.unwrap();
        for (index, session) in sessions.iter().enumerate() {
            let webhook = NewWebhook {
                id: format!("evt_{index}"),
                session_id: (*session).to_owned(),
                turn_id: format!("{session}{index}"),
                body: "{}".to_owned(),
                created_at: index as i64 + 1,
            };
            store.keep_webhook(&webhook).await.unwrap();
            // The same event again is no other one.
            store.keep_webhook(&webhook).await.unwrap();
        }
        store
    }

    async fn due(store: &Store, now: i64) -> Vec<WebhookRow> {
        store.due_webhooks(now, 100).await.unwrap()
    }

    fn turns(rows: &[WebhookRow]) -> Vec<&str> {
        rows.iter().map(|row| row.turn_id.as_str()).collect()
    }

    #[tokio::test]
    async fn of_each_session_only_the_oldest_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let store = store_with(dir.path(), &["a", "a", "b", "a"]).await;
        let rows = due(&store, 10).await;
        assert_eq!(turns(&rows), ["a0", "b2"]);
        store.delay_webhook(rows[0].key, 50).await.unwrap();
        assert_eq!(turns(&due(&store, 10).await), ["b2"], "the others of `a` wait for its first");
        assert_eq!(store.next_webhook(10).await.unwrap(), Some(50));
        let again = due(&store, 50).await;
        assert_eq!(turns(&again), ["b2", "a0"], "what has waited longest comes first");
        assert_eq!((again[0].tries(), again[1].tries()), (0, 1));
        store.forget_webhook(rows[0].key).await.unwrap();
        assert_eq!(turns(&due(&store, 50).await), ["a1", "b2"]);
        assert_eq!(store.next_webhook(50).await.unwrap(), None);
        assert_eq!(store.due_webhooks(50, 1).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_waits_is_due_at_once_when_it_is_recalled() {
        let dir = tempfile::tempdir().unwrap();
        let store = store_with(dir.path(), &["a", "b"]).await;
        let keys: Vec<_> = due(&store, 10).await.iter().map(|row| row.key).collect();
        store.delay_webhook(keys[0], 100).await.unwrap();
        store.delay_webhook(keys[1], 1000).await.unwrap();
        store.recall_webhooks(500).await.unwrap();
        assert_eq!(turns(&due(&store, 10).await), ["b1"]);
        store.recall_webhooks(-1).await.unwrap();
        let all = due(&store, 10).await;
        assert_eq!((turns(&all), all[0].tries()), (vec!["a0", "b1"], 0));
    }

    #[tokio::test]
    async fn what_was_tried_and_is_too_old_is_forgotten_and_a_key_is_never_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = store_with(dir.path(), &["a", "a", "b"]).await;
        let rows = due(&store, 10).await;
        let last = rows.iter().map(|row| row.key).max().unwrap();
        for row in rows {
            store.delay_webhook(row.key, 10).await.unwrap();
        }
        assert_eq!(store.forget_webhooks_before(3).await.unwrap(), 1);
        assert_eq!(turns(&due(&store, 10).await), ["a1", "b2"], "it waited behind the first");
        assert_eq!(store.forget_webhooks_before(i64::MAX).await.unwrap(), 1);
        assert_eq!(turns(&due(&store, 10).await), ["a1"]);
        assert_eq!(store.forget_webhooks().await.unwrap(), 1);
        assert_eq!(store.count_webhooks().await.unwrap(), 0);
        let webhook = NewWebhook {
            id: "evt_new".to_owned(),
            session_id: "a".to_owned(),
            turn_id: "t".to_owned(),
            body: "{}".to_owned(),
            created_at: 9,
        };
        store.keep_webhook(&webhook).await.unwrap();
        assert!(due(&store, 10).await[0].key > last);
    }
}
