//! Making a chat's sandbox ready: found by its stored name, woken, made, or replaced.

use sandbox_sdk::{
    client::{self, Client},
    types::{Sandbox, SandboxStatus, SessionMapping},
};

use super::Trouble;
use crate::{
    Backend, Error, SandboxState, clock::now_ms, db::args, sandboxes, turns::row::TurnRow,
};

/// Sandboxes that may be lost during the start of one turn before it is given up.
const MAX_REPLACEMENTS: i64 = 2;

const REPLACED: &str = "The sandbox of this chat was gone, so a new one was started. The \
    conversation above is kept; the files of the old sandbox are lost, and the agent does not \
    remember what was said before.";
const KEEPS_FAILING: &str =
    "A sandbox could not be started: it failed again and again. Nothing was charged.";

impl Backend {
    /// One step towards a running sandbox whose session is mapped. When it is, the turn becomes
    /// `running`.
    pub(super) async fn prepare(&self, row: &TurnRow) -> Result<(), Trouble> {
        let Some(sandbox) = self.look_at_sandbox(row).await? else {
            return self.replace_sandbox(row).await;
        };
        match sandbox.status {
            // Nothing may be wrong with what is in it: a machine without memory is no reason to take
            // somebody's files.
            SandboxStatus::Failed if row.woken_at.is_none() && has_worked(row) => {
                if !self.wake_failed(row, &sandbox).await? {
                    return self.replace_sandbox(row).await;
                }
            }
            SandboxStatus::Failed | SandboxStatus::Expired | SandboxStatus::Deleted => {
                tracing::warn!(sandbox = %sandbox.id, status = sandbox.status.as_str(), error = sandbox.error, "a sandbox is lost");
                return self.replace_sandbox(row).await;
            }
            SandboxStatus::Stopped => {
                self.set_sandbox_state(&row.sandbox_id, SandboxState::Stopped).await?;
                let resumed = self.client().sandboxes().resume(&sandbox.id).await;
                let resumed =
                    resumed.map_err(|error| Trouble::of_call(&error, "wake the sandbox"))?;
                if resumed.status != SandboxStatus::Running {
                    return Err(Trouble::again("the sandbox wakes"));
                }
            }
            SandboxStatus::Pending | SandboxStatus::Provisioning => {
                return Err(Trouble::again("the sandbox starts"));
            }
            // A status that is new to us: the mapping will tell.
            SandboxStatus::Running | SandboxStatus::Other(_) => {}
        }
        let row = row.in_sandbox(sandbox.id);
        match self.map_session(&self.client(), &row).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {
                return Err(Trouble::again("the sandbox vanished"));
            }
            Err(error) => return Err(Trouble::of_call(&error, "open the session")),
        }
        self.set_sandbox_state(&row.sandbox_id, SandboxState::Running).await?;
        self.claim(&row.id).await?;
        Ok(())
    }

    /// Says whose the session is and where it runs. A token for it comes after that, never before.
    pub(super) async fn map_session(
        &self,
        client: &Client,
        row: &TurnRow,
    ) -> Result<(), client::Error> {
        let mapping = SessionMapping {
            user_id: row.account_id.to_string(),
            sandbox_id: row.remote_id.clone().unwrap_or_default(),
            runtime_session_id: None,
        };
        client.register_mapping(&row.session_id, &mapping).await
    }

    /// The chat's sandbox as the orchestrator sees it; one that was never made is made. `None` when
    /// it is gone.
    async fn look_at_sandbox(&self, row: &TurnRow) -> Result<Option<Sandbox>, Trouble> {
        if let Some(remote) = &row.remote_id {
            let found = self.client().sandboxes().get(remote).await;
            return found.map_err(|error| Trouble::of_call(&error, "find the sandbox"));
        }
        // Noted first: whoever deletes the sandbox later must know that there may be one.
        let asked = self
            .db()
            .execute(
                "UPDATE sandboxes SET asked_at = COALESCE(asked_at, $2)
                 WHERE id = $1 AND state IN ('provisioning', 'running', 'stopped')",
                args![&row.sandbox_id, now_ms()],
            )
            .await?;
        if asked == 0 {
            return Err(Trouble::again("the chat is being deleted"));
        }
        let made = self.order_sandbox(&row.sandbox_id, &row.account_id, &row.chat_id).await;
        let made = made.map_err(|error| Trouble::of_call(&error, "make a sandbox"))?;
        // The chat may have been deleted in the meantime: then this one has to go, too.
        self.db()
            .execute(
                "UPDATE sandboxes SET remote_id = $2, updated_at = $3,
                 state = CASE WHEN state = 'deleted' THEN 'deleting' ELSE state END WHERE id = $1",
                args![&row.sandbox_id, &made.id, now_ms()],
            )
            .await?;
        Ok(Some(made))
    }

    /// Wakes a sandbox that has failed after it had worked; tried once a turn. Answers whether it runs.
    async fn wake_failed(&self, row: &TurnRow, sandbox: &Sandbox) -> Result<bool, Trouble> {
        tracing::warn!(sandbox = %sandbox.id, error = sandbox.error, "a sandbox has failed; waking it");
        let woken = self.client().sandboxes().resume(&sandbox.id).await;
        if let Err(error) = &woken
            && error.is_retryable()
        {
            return Err(Trouble::of_call(error, "wake the sandbox"));
        }
        let sql = "UPDATE turns SET woken_at = $2 WHERE id = $1";
        self.db().execute(sql, args![&row.id, now_ms()]).await?;
        match woken {
            Ok(woken) if woken.status == SandboxStatus::Running => Ok(true),
            Ok(_) => Err(Trouble::again("the sandbox wakes")),
            Err(error) => {
                tracing::warn!(sandbox = %sandbox.id, %error, "a failed sandbox can't be woken");
                Ok(false)
            }
        }
    }

    /// Gives the chat another sandbox and the turn the new session. Only a sandbox that is gone for
    /// good is replaced, and none is deleted for it: somebody's files may still be in it.
    async fn replace_sandbox(&self, row: &TurnRow) -> Result<(), Trouble> {
        let (lost,): (i64,) = self
            .db()
            .optional(
                "SELECT COUNT(*) FROM sandboxes
                 WHERE chat_id = $1 AND state = 'lost' AND updated_at >= $2",
                args![&row.chat_id, row.created_at],
            )
            .await?
            .unwrap_or_default();
        self.swap_sandbox(row).await?;
        if lost >= MAX_REPLACEMENTS {
            return Err(Trouble::Final(KEEPS_FAILING.to_owned()));
        }
        Ok(())
    }

    async fn swap_sandbox(&self, row: &TurnRow) -> Result<(), Error> {
        let now = now_ms();
        let mut tx = self.db().begin().await?;
        // The chat's row is the lock for everything that belongs to it.
        let sql = "UPDATE chats SET updated_at = updated_at WHERE id = $1";
        tx.execute(sql, args![&row.chat_id]).await?;
        tx.execute(
            "UPDATE sandboxes SET state = 'lost', updated_at = $2
             WHERE id = $1 AND state IN ('provisioning', 'running', 'stopped')",
            args![&row.sandbox_id, now],
        )
        .await?;
        let fresh = sandboxes::current(&mut tx, &row.account_id, &row.chat_id).await?;
        let notice = has_worked(row).then_some(REPLACED);
        let moved = tx
            .execute(
                "UPDATE turns SET sandbox_id = $2, notice = COALESCE($3, notice)
                 WHERE id = $1 AND state = 'provisioning' AND stop_requested_at IS NULL",
                args![&row.id, &fresh.id, notice],
            )
            .await?;
        // A turn that was stopped in the meantime leaves everything as it was.
        if moved == 1 { tx.commit().await } else { Ok(()) }
    }
}

/// One that never worked holds nothing that could be missed.
fn has_worked(row: &TurnRow) -> bool {
    row.sandbox_state != "provisioning"
}
