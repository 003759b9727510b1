//! The sandbox of a chat: which one it is, and what becomes of it when the chat is deleted.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    AccountId, Backend, ChatId, Error,
    clock::{millis, now_ms},
    db::{Transaction, args},
    words::stored_as_words,
};

/// A sandbox that could not be deleted is tried again after this.
const DELETE_AGAIN_AFTER: Duration = Duration::from_secs(30);

stored_as_words! {
    /// Where a chat's sandbox stands.
    pub enum SandboxState {
        /// There is none.
        None = "none",
        /// Being made, or woken.
        Provisioning = "provisioning",
        /// Ready to work.
        Running = "running",
        /// Asleep; the next turn wakes it.
        Stopped = "stopped",
        /// Lost; the next turn makes another.
        Failed = "lost",
    }
}

#[derive(sqlx::FromRow)]
struct SandboxRow {
    id: String,
    remote_id: Option<String>,
}

/// A sandbox by the names it has before the orchestrator knows of it.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Current {
    pub(crate) id: String,
    pub(crate) session_id: String,
}

/// The chat's live sandbox; a chat without one gets the row of one that is still to be made. Its
/// identities are stored before anything is asked of the orchestrator.
pub(crate) async fn current(
    tx: &mut Transaction,
    account: &AccountId,
    chat: &ChatId,
) -> Result<Current, Error> {
    let live: Option<Current> = tx
        .optional(
            "SELECT id, session_id FROM sandboxes
             WHERE chat_id = $1 AND state IN ('provisioning', 'running', 'stopped')",
            args![chat],
        )
        .await?;
    if let Some(live) = live {
        return Ok(live);
    }
    let new = Current { id: Uuid::now_v7().to_string(), session_id: Uuid::now_v7().to_string() };
    tx.execute(
        "INSERT INTO sandboxes
         (id, chat_id, account_id, session_id, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'provisioning', $5, $5)",
        args![&new.id, chat, account, &new.session_id, now_ms()],
    )
    .await?;
    Ok(new)
}

impl Backend {
    pub(crate) async fn set_sandbox_state(
        &self,
        sandbox: &str,
        state: SandboxState,
    ) -> Result<(), Error> {
        // A sandbox that is given up or to be deleted stays so.
        self.db()
            .execute(
                "UPDATE sandboxes SET state = $2, updated_at = $3
                 WHERE id = $1 AND state IN ('provisioning', 'running', 'stopped')",
                args![sandbox, state, now_ms()],
            )
            .await?;
        Ok(())
    }

    /// Deletes the sandboxes of deleted chats, once no turn runs in them any more: a turn's record
    /// lives as long as its sandbox.
    pub(crate) async fn purge_sandboxes(&self) -> Result<(), Error> {
        let now = now_ms();
        let doomed: Vec<SandboxRow> = self
            .db()
            .all(
                "SELECT s.id, s.remote_id FROM sandboxes s
                 WHERE s.state = 'deleting' AND s.updated_at <= $1 AND NOT EXISTS
                 (SELECT 1 FROM turns t
                  WHERE t.sandbox_id = s.id AND t.state IN ('provisioning', 'running'))
                 ORDER BY s.updated_at LIMIT 50",
                args![now],
            )
            .await?;
        for sandbox in doomed {
            self.purge_sandbox(sandbox).await?;
        }
        Ok(())
    }

    async fn purge_sandbox(&self, sandbox: SandboxRow) -> Result<(), Error> {
        if let Some(remote) = &sandbox.remote_id
            && let Err(error) = self.client().sandboxes().delete(remote).await
        {
            tracing::warn!(sandbox = %remote, %error, "a sandbox could not be deleted yet");
            let again = now_ms().saturating_add(millis(DELETE_AGAIN_AFTER));
            let sql = "UPDATE sandboxes SET updated_at = $2 WHERE id = $1";
            self.db().execute(sql, args![&sandbox.id, again]).await?;
            return Ok(());
        }
        // One that got its name in the meantime, from a creation that was under way, comes again.
        self.db()
            .execute(
                "UPDATE sandboxes SET state = 'deleted', updated_at = $2
                 WHERE id = $1 AND state = 'deleting' AND COALESCE(remote_id, '') = $3",
                args![&sandbox.id, now_ms(), sandbox.remote_id.unwrap_or_default()],
            )
            .await?;
        Ok(())
    }
}
