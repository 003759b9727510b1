//! Looking after turns that nobody else looks after: at the start, and whenever a lease runs out.

use crate::{
    Backend, Error, TurnId, TurnState,
    clock::{from_now, now_ms},
    db::args,
};

/// Turns that are looked at in one round.
const BATCH: i64 = 100;

impl Backend {
    /// Takes up what a crash or a stop of the server left open: turns that were not handed over are,
    /// or end in words when that took too long; the others are settled by the orchestrator's record.
    /// Turns whose lease has not run out may be another server's; the background job looks again.
    /// The work happens in the background. Answers how many turns are taken up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recover(&self) -> Result<usize, Error> {
        // While no server looked, the orchestrator was not out of reach.
        let sql = "UPDATE turns SET unreachable_since = NULL
                   WHERE state IN ('provisioning', 'running') AND unreachable_since IS NOT NULL";
        self.db().execute(sql, args![]).await?;
        let mut count = 0;
        loop {
            let taken = self.sweep_turns().await?;
            if taken == 0 {
                return Ok(count);
            }
            count += taken;
        }
    }

    /// Takes up turns whose lease has run out. Answers how many.
    pub(crate) async fn sweep_turns(&self) -> Result<usize, Error> {
        let now = now_ms();
        let due: Vec<(String,)> = self
            .db()
            .all(
                "SELECT id FROM turns WHERE state IN ('provisioning', 'running')
                 AND lease_until <= $1 ORDER BY lease_until LIMIT $2",
                args![now, BATCH],
            )
            .await?;
        let mut count = 0;
        for (turn,) in due {
            // One of several servers gets the lease.
            let taken = self
                .db()
                .execute(
                    "UPDATE turns SET lease_until = $3
                     WHERE id = $1 AND lease_until <= $2 AND ended_at IS NULL",
                    args![&turn, now, from_now(self.config().timing.lease)],
                )
                .await?;
            if taken == 1 {
                count += 1;
                self.look_after_in_background(TurnId::try_from(turn)?);
            }
        }
        Ok(count)
    }

    fn look_after_in_background(&self, turn: TurnId) {
        let backend = self.clone();
        self.in_background("looking after a turn", async move { backend.look_after(&turn).await });
    }

    async fn look_after(&self, turn: &TurnId) -> Result<(), Error> {
        let Some(row) = self.turn_row(turn).await? else { return Ok(()) };
        if row.stop_requested_at.is_some() {
            return self.wind_up(turn).await;
        }
        if row.state == TurnState::Provisioning || row.is_in_the_air() {
            return self.drive(turn).await;
        }
        match self.settle_with(&self.client(), turn).await {
            // Noted with the turn, which ends when that lasts too long.
            Err(Error::Unavailable { .. }) => Ok(()),
            done => done.map(drop),
        }
    }
}
