//! Handing a turn to the agent, and taking it back.

use sandbox_sdk::{
    client::{self, SandboxHandle},
    types::{Dispatch, InputPart},
};

use super::Trouble;
use crate::{
    Backend, Error, Role, TurnId,
    clock::{from_now, now_ms},
    db::args,
    turns::row::TurnRow,
};

impl Backend {
    /// Hands the turn over. The orchestrator knows it by its id: a second time is a look-up.
    pub(super) async fn dispatch(&self, row: &TurnRow) -> Result<(), Trouble> {
        let dispatch = self.order(row).await?;
        let sandbox = self.client().sandbox(row.remote_id.clone().unwrap_or_default());
        let receipt = match sandbox.dispatch(&row.session_id, &dispatch).await {
            Ok(receipt) => receipt,
            Err(error) if error.is_not_found() => {
                self.take_back(row).await?;
                return Err(Trouble::again("the sandbox vanished before the dispatch"));
            }
            Err(error) if error.status() == Some(409) => {
                end_leftover(&sandbox, row, &error).await;
                return Err(Trouble::again("an earlier turn still runs in the sandbox"));
            }
            Err(error) => return Err(Trouble::of_call(&error, "start the agent")),
        };
        self.confirm(&row.id, receipt.since).await?;
        // A stop, or the end of the turn in words, that came while the request was on its way.
        let now = self.turn_row(&row.id).await?;
        if now.is_some_and(|row| row.stop_requested_at.is_some() || row.state.is_final()) {
            self.wind_up(&row.id).await?;
        }
        Ok(())
    }

    /// Notes that the orchestrator has the turn, whose events come after `since`.
    pub(super) async fn confirm(&self, turn: &TurnId, since: u64) -> Result<(), Error> {
        self.db()
            .execute(
                "UPDATE turns SET dispatched_at = $2, since_seq = $3, lease_until = $4,
                 unreachable_since = NULL
                 WHERE id = $1 AND state = 'running' AND dispatched_at IS NULL",
                args![
                    turn,
                    now_ms(),
                    i64::try_from(since).unwrap_or(0),
                    from_now(self.config().timing.lease)
                ],
            )
            .await?;
        Ok(())
    }

    async fn order(&self, row: &TurnRow) -> Result<Dispatch, Trouble> {
        let asked = self.message(&row.id, Role::User).await?;
        let text = asked.ok_or_else(|| Trouble::again("the chat is being deleted"))?.text();
        Ok(Dispatch {
            turn_id: row.id.to_string(),
            parts: vec![InputPart::Text { text }],
            backend: Some(row.backend()),
            limits: row.limits(self.config().timing.turn),
            extra: Default::default(),
        })
    }

    /// Back to `provisioning`: the orchestrator says that there is nothing to run the turn in.
    async fn take_back(&self, row: &TurnRow) -> Result<(), Error> {
        self.db()
            .execute(
                "UPDATE turns SET state = 'provisioning'
                 WHERE id = $1 AND state = 'running' AND dispatched_at IS NULL
                 AND stop_requested_at IS NULL",
                args![&row.id],
            )
            .await?;
        Ok(())
    }

    /// Asks the orchestrator to end the turn. Best effort: who calls this asks again.
    pub(in crate::turns) async fn abort(&self, row: &TurnRow) {
        let Some(remote) = &row.remote_id else { return };
        let sandbox = self.quick_client().sandbox(remote.clone());
        if let Err(error) = sandbox.abort(&row.session_id, Some(row.id.as_str())).await {
            tracing::warn!(turn = %row.id, %error, "a turn could not be aborted yet");
        }
    }
}

/// For us no other turn of this chat runs: one that the orchestrator names is a leftover. Never the
/// turn itself, which another server may have handed over in the meantime.
async fn end_leftover(sandbox: &SandboxHandle, row: &TurnRow, busy: &client::Error) {
    let client::Error::Api { details, .. } = busy else { return };
    let active = details.get("activeExecutionId").and_then(serde_json::Value::as_str);
    let Some(leftover) = active.filter(|id| *id != row.id.as_str()) else { return };
    if let Err(error) = sandbox.abort(&row.session_id, Some(leftover)).await {
        tracing::warn!(turn = %row.id, %error, "a leftover turn could not be aborted");
    }
}
