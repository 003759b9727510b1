//! From a stored turn to an agent that works on it.
//!
//! `drive` takes a turn as it stands in the database and does what is next, until the orchestrator
//! has confirmed the dispatch or the turn has ended. Every step can be repeated and may be cut off
//! anywhere; two drivers of one turn get in each other's way without harm: sandboxes are created
//! under an idempotency key, the step to `running` is taken once, and a dispatch is known by the turn's id.

mod dispatch;
mod sandbox;

use std::time::Duration;

use sandbox_sdk::client;

use super::{finish::Ending, row::TurnRow, settle::Seen};
use crate::{
    Backend, Error, TurnId, TurnState,
    clock::{millis, now_ms},
    config::Timing,
    db::args,
};

/// Calls to the orchestrator in one step, and one for good measure.
const CALLS_PER_STEP: u32 = 4;

const STARTS_TOO_LONG: &str =
    "The sandbox could not be started in time. Your message is kept and nothing was charged.";

const ALL_IN_USE: &str = "All sandboxes of this server are in use at the moment. Your message is \
    kept and nothing was charged; try again in a few minutes.";

/// Why a step did not succeed.
pub(super) enum Trouble {
    /// It may later.
    Again(Wait),
    /// It never will: in words, for the person.
    Final(String),
    /// Our own failure.
    Broken(Error),
}

/// What a step waits for.
pub(super) struct Wait {
    /// The reason, for the log.
    why: String,
    /// The orchestrator could not be reached.
    unreachable: bool,
    /// For the person, should it last too long.
    too_long: &'static str,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl Trouble {
    fn again(why: impl Into<String>) -> Self {
        Self::Again(Wait { why: why.into(), unreachable: false, too_long: STARTS_TOO_LONG })
    }

    /// A call failed: those that can be repeated are, others end the turn.
    fn of_call(error: &client::Error, doing: &str) -> Self {
        // A key that is refused is the operator's to mend, and may be while the turn waits.
        let mendable = matches!(error.status(), Some(401 | 403));
        let full = error.status() == Some(429);
        if error.is_retryable() || mendable {
            return Self::Again(Wait {
                why: format!("{doing}: {error}"),
                unreachable: !full,
                too_long: if full { ALL_IN_USE } else { STARTS_TOO_LONG },
            });
        }
        tracing::error!(%error, doing, "the orchestrator refused");
        Self::Final(format!("The sandbox service refused to {doing}. Nothing was charged."))
    }
}

impl Backend {
    /// Sets a new turn going. With a sandbox that should be ready, the turn is handed over (the
    /// session is mapped before anybody gets a token for it); else the rest happens in the background.
    pub(super) async fn launch(&self, turn: &TurnId) -> Result<(), Error> {
        let Some(row) = self.turn_row(turn).await? else { return Ok(()) };
        if row.sandbox_state == "running" && row.remote_id.is_some() {
            let client = self.client().with_timeout(self.config().timing.warm);
            match self.map_session(&client, &row).await {
                Ok(()) => {
                    self.claim(turn).await?;
                }
                Err(error) => tracing::info!(%turn, %error, "the sandbox is not ready"),
            }
        }
        self.drive_in_background(turn);
        Ok(())
    }

    pub(super) fn drive_in_background(&self, turn: &TurnId) {
        let (backend, turn) = (self.clone(), turn.clone());
        self.in_background("starting a turn", async move { backend.drive(&turn).await });
    }

    pub(super) async fn drive(&self, turn: &TurnId) -> Result<(), Error> {
        let mut pauses = Pauses::new(&self.config().timing);
        let mut too_long = STARTS_TOO_LONG;
        while let Some(row) = self.turn_row(turn).await? {
            if row.state.is_final() || row.dispatched_at.is_some() {
                return Ok(());
            }
            if row.stop_requested_at.is_some() {
                return self.wind_up(turn).await;
            }
            if now_ms() - row.created_at > millis(self.config().timing.start) {
                return self.give_up(&row, too_long).await;
            }
            // Longer than any step takes.
            self.renew_lease(turn, self.config().timing.call * CALLS_PER_STEP).await?;
            let step = match row.state {
                TurnState::Provisioning => self.prepare(&row).await,
                _ => self.dispatch(&row).await,
            };
            match step {
                Ok(()) => pauses = Pauses::new(&self.config().timing),
                Err(Trouble::Final(words)) => return self.give_up(&row, &words).await,
                Err(Trouble::Broken(error)) => return Err(error),
                Err(Trouble::Again(wait)) => {
                    tracing::info!(%turn, why = wait.why, "a turn's start has to wait");
                    too_long = wait.too_long;
                    self.note_reach(&row, !wait.unreachable).await?;
                    if !self.pause(pauses.next()).await {
                        // For the next server to take up at once.
                        return self.renew_lease(turn, Duration::ZERO).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends a turn that never began.
    async fn give_up(&self, row: &TurnRow, words: &str) -> Result<(), Error> {
        if row.is_in_the_air() {
            // A request whose answer was lost may have arrived: then the turn goes on, or has its
            // answer already.
            match self.settle_with(&self.client(), &row.id).await {
                Ok(Seen::Ended) => return Ok(()),
                Ok(Seen::Running { since }) => return self.confirm(&row.id, since).await,
                // Noted with the turn. The background job asks again, and ends it when that lasts.
                Err(Error::Unavailable { .. }) => return Ok(()),
                Err(error) => return Err(error),
                // If it should still arrive, nobody pays for what comes of it.
                Ok(Seen::Unknown) => self.abort(row).await,
            }
        }
        self.finish(row, Ending::free(TurnState::Failed, words)).await.map(drop)
    }

    /// Takes the step from `provisioning` to `running`, which is taken once, and not after a stop.
    async fn claim(&self, turn: &TurnId) -> Result<bool, Error> {
        let claimed = self
            .db()
            .execute(
                "UPDATE turns SET state = 'running', unreachable_since = NULL
                 WHERE id = $1 AND state = 'provisioning' AND stop_requested_at IS NULL",
                args![turn],
            )
            .await?;
        Ok(claimed == 1)
    }
}

/// The pauses between tries: doubling, up to a limit.
struct Pauses {
    next: Duration,
    max: Duration,
}

impl Pauses {
    fn new(timing: &Timing) -> Self {
        Self { next: timing.retry, max: timing.retry_max }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next.min(self.max);
        self.next = pause.saturating_mul(2);
        pause
    }
}
