//! Settling: the only way from a turn to money.
//!
//! The browser's nudge, the orchestrator's webhook and the background job all come here. What the
//! turn used is taken from the orchestrator's own record, and `finish` lets one caller through.

use sandbox_sdk::{client::Client, types::TurnRecord};

use super::{finish::Ending, row::TurnRow};
use crate::{
    AccountId, Backend, Credits, Error, Role, TurnId, TurnOutcome, TurnState,
    clock::{millis, now_ms},
    db::args,
};

const FORGOTTEN: &str = "The sandbox service no longer knows about this turn. Nothing was charged.";
const OUT_OF_REACH: &str =
    "The sandbox service could not be reached for a long time. Nothing was charged.";

impl Backend {
    /// Ends the turn if the orchestrator's record says that it has ended, and answers with the
    /// outcome; `None` while it runs, and for a chat that was deleted. Any number of callers at any
    /// time give one bill.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` while the orchestrator can't be asked.
    pub async fn settle(&self, turn: &TurnId) -> Result<Option<TurnOutcome>, Error> {
        if !self.settle_with(self.client(), turn).await? {
            return Ok(None);
        }
        let Some(message) = self.message(turn, Role::Assistant).await? else { return Ok(None) };
        let row = self.turn_row(turn).await?.ok_or(Error::NotFound)?;
        let balance = self.available(&row.account_id).await?;
        Ok(Some(TurnOutcome { error: message.error.clone(), message, balance }))
    }

    /// Answers whether the turn has ended.
    pub(super) async fn settle_with(&self, client: &Client, turn: &TurnId) -> Result<bool, Error> {
        let row = self.turn_row(turn).await?.ok_or(Error::NotFound)?;
        match row.state {
            TurnState::Provisioning => return Ok(false),
            TurnState::Running => {}
            _ => return Ok(true),
        }
        let sandbox = client.sandbox(row.remote_id.clone().unwrap_or_default());
        match sandbox.turn(&row.session_id, row.id.as_str()).await {
            Ok(record) => {
                self.note_reach(&row, true).await?;
                self.settle_by(&row, record).await
            }
            Err(error) => {
                tracing::warn!(%turn, %error, "the record of a turn can't be read");
                let since = self.note_reach(&row, false).await?;
                if now_ms() - since <= millis(self.config().timing.unreachable) {
                    return Err(Error::unavailable("The sandbox service does not answer."));
                }
                let state =
                    row.stop_requested_at.map_or(TurnState::Interrupted, |_| TurnState::Stopped);
                self.finish(&row, Ending::free(state, OUT_OF_REACH)).await?;
                Ok(true)
            }
        }
    }

    async fn settle_by(&self, row: &TurnRow, record: Option<TurnRecord>) -> Result<bool, Error> {
        let Some(record) = record else {
            // A dispatch that is still in the air may not have arrived.
            if row.is_in_the_air() {
                return Ok(false);
            }
            let ending = Ending::free(TurnState::Interrupted, FORGOTTEN);
            self.finish(row, ending).await?;
            return Ok(true);
        };
        if record.turn_id != row.id.as_str() {
            tracing::error!(turn = %row.id, got = record.turn_id, "the record of another turn came back");
            return Err(Error::unavailable("The sandbox service gave a wrong answer."));
        }
        let Some(ending) = Ending::of_record(row, record) else {
            let overdue = millis(self.config().timing.turn) + millis(self.config().timing.start);
            if now_ms() - row.created_at > overdue {
                tracing::warn!(turn = %row.id, "a turn runs longer than it may");
                self.abort(row).await;
            }
            return Ok(false);
        };
        self.finish(row, ending).await?;
        Ok(true)
    }

    async fn available(&self, account: &AccountId) -> Result<Credits, Error> {
        let sql = "SELECT posted - held FROM accounts WHERE id = $1";
        let row: Option<(i64,)> = self.db().optional(sql, args![account]).await?;
        Ok(row.map_or(Credits::ZERO, |(micros,)| Credits::from_micros(micros)))
    }
}
