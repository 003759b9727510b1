//! The sandbox of a chat: which one it is, and when it goes: with its chat, or when others need the
//! room more.

use std::time::Duration;

use sandbox_sdk::{
    client::Error as CallError,
    types::{CreateSandbox, Sandbox},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    AccountId, Backend, ChatId, Error,
    clock::{millis, now_ms},
    db::{Transaction, args},
    words::stored_as_words,
};

/// A sandbox that could not be deleted is tried again after this.
const DELETE_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Sandboxes that one round deletes, or lets go of.
const AT_ONCE: i64 = 50;

const LET_GO: &str = "This chat was not used for a while and its sandbox was removed to make room, so \
    a new one was started. The conversation above is kept; the files of the old sandbox are gone, and \
    the agent does not remember what was said before.";

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

/// A sandbox that is to be deleted.
#[derive(sqlx::FromRow)]
struct Doomed {
    id: String,
    #[sqlx(try_from = "String")]
    account_id: AccountId,
    #[sqlx(try_from = "String")]
    chat_id: ChatId,
    asked_at: Option<i64>,
    remote_id: Option<String>,
}

/// A sandbox by the names it has before the orchestrator knows of it.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) id: String,
    pub(crate) session_id: String,
    /// What the person should know about it, in words.
    pub(crate) notice: Option<&'static str>,
}

/// The chat's live sandbox; a chat without one gets the row of one that is still to be made. Its
/// identities are stored before anything is asked of the orchestrator.
pub(crate) async fn current(
    tx: &mut Transaction,
    account: &AccountId,
    chat: &ChatId,
) -> Result<Current, Error> {
    let live: Option<(String, String)> = tx
        .optional(
            "SELECT id, session_id FROM sandboxes
             WHERE chat_id = $1 AND state IN ('provisioning', 'running', 'stopped')",
            args![chat],
        )
        .await?;
    if let Some((id, session_id)) = live {
        return Ok(Current { id, session_id, notice: None });
    }
    let (let_go,): (i64,) = tx
        .one(
            "SELECT COUNT(*) FROM sandboxes WHERE chat_id = $1 AND state IN ('deleting', 'deleted')",
            args![chat],
        )
        .await?;
    let (id, session_id) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    tx.execute(
        "INSERT INTO sandboxes
         (id, chat_id, account_id, session_id, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'provisioning', $5, $5)",
        args![&id, chat, account, &session_id, now_ms()],
    )
    .await?;
    Ok(Current { id, session_id, notice: (let_go > 0).then_some(LET_GO) })
}

/// Sees to it that the account has room for a sandbox of this chat, among `most`. The chat that was not
/// used for the longest time lets go of its own. The account's row is locked.
pub(crate) async fn make_room(
    tx: &mut Transaction,
    account: &AccountId,
    chat: &ChatId,
    most: u32,
) -> Result<(), Error> {
    let (live, own): (i64, i64) = tx
        .one(
            "SELECT COUNT(*), COUNT(CASE WHEN chat_id = $2 THEN 1 END) FROM sandboxes
             WHERE account_id = $1 AND state IN ('provisioning', 'running', 'stopped')",
            args![account, chat],
        )
        .await?;
    if own > 0 || live < i64::from(most) {
        return Ok(());
    }
    let at_rest: Option<(String,)> = tx
        .optional(
            "SELECT c.id FROM chats c JOIN sandboxes s ON s.chat_id = c.id
             WHERE s.account_id = $1 AND s.state IN ('provisioning', 'running', 'stopped')
             AND NOT EXISTS (SELECT 1 FROM turns t
                             WHERE t.chat_id = c.id AND t.state IN ('provisioning', 'running'))
             ORDER BY c.updated_at, c.id LIMIT 1",
            args![account],
        )
        .await?;
    let Some((at_rest,)) = at_rest else {
        return Err(Error::conflict(format!(
            "All your {live} sandboxes are at work. Wait for one to finish, or stop one."
        )));
    };
    let_go(tx, &at_rest).await
}

/// Dooms the chat's sandbox, unless a turn is open. The chat stays.
async fn let_go(tx: &mut Transaction, chat: &str) -> Result<(), Error> {
    // The chat's row is the lock for everything that belongs to it.
    tx.execute("UPDATE chats SET updated_at = updated_at WHERE id = $1", args![chat]).await?;
    tx.execute(
        "UPDATE sandboxes SET state = 'deleting', updated_at = $2
         WHERE chat_id = $1 AND state IN ('provisioning', 'running', 'stopped')
         AND NOT EXISTS (SELECT 1 FROM turns t
                         WHERE t.chat_id = $1 AND t.state IN ('provisioning', 'running'))",
        args![chat, now_ms()],
    )
    .await?;
    Ok(())
}

/// Whether the orchestrator refused an order for good, so that nothing can stand under it.
fn is_final(refusal: &CallError) -> bool {
    refusal.status().is_some_and(|status| !matches!(status, 401 | 403 | 404))
        && !refusal.is_retryable()
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

    /// Has a sandbox made. Our id is the idempotency key: the same order again is a look-up.
    pub(crate) async fn order_sandbox(
        &self,
        id: &str,
        account: &AccountId,
        chat: &ChatId,
    ) -> Result<Sandbox, CallError> {
        let create = CreateSandbox {
            image: self.config().sandbox_image.clone(),
            idempotency_key: Some(id.to_owned()),
            metadata: Some(json!({ "product": self.config().product_id, "chat": chat.as_str() })),
            ..CreateSandbox::default()
        };
        self.client().for_user(account.as_str()).sandboxes().create(&create).await
    }

    /// Dooms the sandboxes of chats that were not used for a long time, and those that were lost a
    /// while ago.
    pub(crate) async fn let_go_of_unused(&self) -> Result<(), Error> {
        let (now, timing) = (now_ms(), &self.config().timing);
        self.db()
            .execute(
                "UPDATE sandboxes SET state = 'deleting', updated_at = $1
                 WHERE state = 'lost' AND updated_at <= $2",
                args![now, now - millis(timing.lost_grace)],
            )
            .await?;
        let unused: Vec<(String,)> = self
            .db()
            .all(
                "SELECT c.id FROM sandboxes s JOIN chats c ON c.id = s.chat_id
                 WHERE s.state IN ('provisioning', 'running', 'stopped') AND c.updated_at <= $1
                 AND NOT EXISTS (SELECT 1 FROM turns t
                                 WHERE t.chat_id = c.id AND t.state IN ('provisioning', 'running'))
                 ORDER BY c.updated_at LIMIT $2",
                args![now - millis(timing.sandbox_idle), AT_ONCE],
            )
            .await?;
        for (chat,) in unused {
            let mut tx = self.db().begin().await?;
            let_go(&mut tx, &chat).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Deletes doomed sandboxes, of one chat or of all, once no turn runs in them any more: a turn's
    /// record lives as long as its sandbox. A shutdown cuts this short: the next start goes on.
    pub(crate) async fn purge_sandboxes(&self, chat: Option<&ChatId>) -> Result<(), Error> {
        let doomed: Vec<Doomed> = self
            .db()
            .all(
                "SELECT s.id, s.account_id, s.chat_id, s.asked_at, s.remote_id FROM sandboxes s
                 WHERE s.state = 'deleting' AND s.updated_at <= $1
                 AND s.chat_id = COALESCE($2, s.chat_id) AND NOT EXISTS
                 (SELECT 1 FROM turns t
                  WHERE t.sandbox_id = s.id AND t.state IN ('provisioning', 'running'))
                 ORDER BY s.updated_at LIMIT $3",
                args![now_ms(), chat, AT_ONCE],
            )
            .await?;
        for sandbox in doomed {
            match self.unless_stopping(self.purge_sandbox(sandbox)).await {
                Some(purged) => purged?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn purge_sandbox(&self, sandbox: Doomed) -> Result<(), Error> {
        if let Err(error) = self.delete_sandbox(&sandbox).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "a sandbox could not be deleted yet");
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

    async fn delete_sandbox(&self, sandbox: &Doomed) -> Result<(), CallError> {
        if let Some(remote) = &sandbox.remote_id {
            return self.client().sandboxes().delete(remote).await;
        }
        if sandbox.asked_at.is_none() {
            return Ok(());
        }
        // It may have been made by a server that died before it had the name. The same order again
        // tells the name.
        let made = self.order_sandbox(&sandbox.id, &sandbox.account_id, &sandbox.chat_id).await;
        match made {
            Ok(made) => self.client().sandboxes().delete(&made.id).await,
            Err(error) if is_final(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
