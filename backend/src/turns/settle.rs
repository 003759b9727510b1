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
const NEVER_ENDS: &str = "The sandbox service did not end this turn in time. Nothing was charged.";

/// What the orchestrator says about a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has ended, and is settled.
    Ended,
    /// It runs; its events come after this number.
    Running { since: u64 },
    /// There is no such turn, or not yet.
    Unknown,
}

impl Backend {
    /// Ends the turn if the orchestrator's record says that it has ended, and answers with the
    /// outcome; `None` while it runs, and for a chat that was deleted. Any number of callers at any
    /// time give one bill.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` while the orchestrator can't be asked.
    pub async fn settle(&self, turn: &TurnId) -> Result<Option<TurnOutcome>, Error> {
        if self.settle_with(&self.client(), turn).await? != Seen::Ended {
            return Ok(None);
        }
        let Some(message) = self.message(turn, Role::Assistant).await? else { return Ok(None) };
        let row = self.turn_row(turn).await?.ok_or(Error::NotFound)?;
        let balance = self.available(&row.account_id).await?;
        Ok(Some(TurnOutcome { error: message.error.clone(), message, balance }))
    }

    /// Looks at the orchestrator's record, and ends the turn when that says so.
    pub(super) async fn settle_with(&self, client: &Client, turn: &TurnId) -> Result<Seen, Error> {
        let row = self.turn_row(turn).await?.ok_or(Error::NotFound)?;
        match row.state {
            TurnState::Provisioning => return Ok(Seen::Unknown),
            TurnState::Running => {}
            _ => return Ok(Seen::Ended),
        }
        let sandbox = client.sandbox(row.remote_id.clone().unwrap_or_default());
        match sandbox.turn(&row.session_id, row.id.as_str()).await {
            Ok(Some(record)) if record.turn_id != row.id.as_str() => {
                tracing::error!(%turn, got = record.turn_id, "the record of another turn came back");
                self.out_of_reach(&row, "The sandbox service gave a wrong answer.").await
            }
            Ok(record) => {
                self.note_reach(&row, true).await?;
                self.settle_by(&row, record).await
            }
            Err(error) => {
                tracing::warn!(%turn, %error, "the record of a turn can't be read");
                self.out_of_reach(&row, "The sandbox service does not answer.").await
            }
        }
    }

    /// Without a record: an error that may pass, until that has lasted too long.
    async fn out_of_reach(&self, row: &TurnRow, words: &str) -> Result<Seen, Error> {
        let since = self.note_reach(row, false).await?;
        if now_ms() - since <= millis(self.config().timing.unreachable) {
            return Err(Error::unavailable(words));
        }
        self.cut_off(row, OUT_OF_REACH).await
    }

    /// Ends a turn of which no end can be had.
    async fn cut_off(&self, row: &TurnRow, words: &str) -> Result<Seen, Error> {
        let state = row.stop_requested_at.map_or(TurnState::Interrupted, |_| TurnState::Stopped);
        self.finish(row, Ending::free(state, words)).await?;
        Ok(Seen::Ended)
    }

    async fn settle_by(&self, row: &TurnRow, record: Option<TurnRecord>) -> Result<Seen, Error> {
        let Some(record) = record else {
            // A dispatch that is still in the air may not have arrived.
            if row.is_in_the_air() {
                return Ok(Seen::Unknown);
            }
            let ending = Ending::free(TurnState::Interrupted, FORGOTTEN);
            self.finish(row, ending).await?;
            return Ok(Seen::Ended);
        };
        let since = record.first_seq.saturating_sub(1);
        match Ending::of_record(row, record) {
            Some(ending) => {
                self.finish(row, ending).await?;
                Ok(Seen::Ended)
            }
            None => self.still_running(row, since).await,
        }
    }

    /// A turn that runs longer than it may is aborted. One that is not ended by that either must not
    /// keep its chat and its credits for ever.
    async fn still_running(&self, row: &TurnRow, since: u64) -> Result<Seen, Error> {
        let (now, timing) = (now_ms(), &self.config().timing);
        let overdue = now - row.created_at - millis(timing.turn) - millis(timing.start);
        let patience = millis(timing.unreachable);
        if overdue > 0 {
            tracing::warn!(turn = %row.id, "a turn runs longer than it may");
            self.abort(row).await;
        }
        if overdue > patience || row.stop_requested_at.is_some_and(|at| now - at > patience) {
            tracing::error!(turn = %row.id, "the orchestrator does not end a turn");
            return self.cut_off(row, NEVER_ENDS).await;
        }
        Ok(Seen::Running { since })
    }

    async fn available(&self, account: &AccountId) -> Result<Credits, Error> {
        let sql = "SELECT posted - held FROM accounts WHERE id = $1";
        let row: Option<(i64,)> = self.db().optional(sql, args![account]).await?;
        Ok(row.map_or(Credits::ZERO, |(micros,)| Credits::from_micros(micros)))
    }
}
