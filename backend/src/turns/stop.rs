//! Stopping a turn, from its first moment to its last.

use std::time::Duration;

use sandbox_sdk::client::Client;

use super::{finish::Ending, settle::Seen};
use crate::{
    Account, Backend, Error, TurnId, TurnState, TurnStatus,
    clock::{millis, now_ms},
    db::args,
};

/// Pauses between the looks that a person waits for.
const SHORT_PAUSES_MS: [u64; 5] = [0, 50, 100, 200, 400];

impl Backend {
    /// Ends a turn on request. Before the dispatch it ends at once and costs nothing; while it runs
    /// the orchestrator is asked to abort it, and what it said and used until then stands; after its
    /// end nothing happens. When the orchestrator takes its time, the rest happens in the background.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn stop_turn(&self, account: &Account, turn: &TurnId) -> Result<TurnStatus, Error> {
        let row = self.owned_turn(account.id(), turn).await?;
        if !row.state.is_final() {
            self.db()
                .execute(
                    "UPDATE turns SET stop_requested_at = $2
                     WHERE id = $1 AND stop_requested_at IS NULL AND ended_at IS NULL",
                    args![turn, now_ms()],
                )
                .await?;
            if !self.stop_now(turn).await? {
                let (backend, turn) = (self.clone(), turn.clone());
                self.in_background("stopping a turn", async move { backend.wind_up(&turn).await });
            }
        }
        self.turn_status(account, turn).await
    }

    async fn stop_now(&self, turn: &TurnId) -> Result<bool, Error> {
        let client = self.quick_client();
        for pause in SHORT_PAUSES_MS {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self.wind_up_step(&client, turn).await {
                Ok(false) => {}
                Err(Error::Unavailable { .. }) => return Ok(false),
                ended => return ended,
            }
        }
        Ok(false)
    }

    /// Ends a turn whose stop was requested; gives up after a while, when the background job goes on.
    pub(crate) async fn wind_up(&self, turn: &TurnId) -> Result<(), Error> {
        let timing = &self.config().timing;
        let until = now_ms() + millis(timing.lease);
        let mut pause = timing.retry;
        while now_ms() < until {
            match self.wind_up_step(&self.client(), turn).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Error::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
            if !self.pause(pause).await {
                return Ok(());
            }
            pause = pause.saturating_mul(2).min(timing.retry_max);
        }
        Ok(())
    }

    /// Answers whether the turn has ended.
    pub(super) async fn wind_up_step(&self, client: &Client, turn: &TurnId) -> Result<bool, Error> {
        let Some(row) = self.turn_row(turn).await? else { return Ok(true) };
        if row.state == TurnState::Provisioning {
            // Nothing was handed over. When the hand-over comes first after all, the next step aborts.
            return self.finish(&row, Ending::free(TurnState::Stopped, "")).await;
        }
        self.abort(&row).await;
        if row.state.is_final() {
            return Ok(true);
        }
        match self.settle_with(client, turn).await? {
            Seen::Ended => Ok(true),
            // Handed over, but the orchestrator knows nothing of it: the request was lost. If it should
            // arrive after this, whoever sent it finds the turn ended and aborts.
            Seen::Unknown if row.is_in_the_air() => {
                self.finish(&row, Ending::free(TurnState::Stopped, "")).await
            }
            Seen::Unknown | Seen::Running { .. } => Ok(false),
        }
    }
}
