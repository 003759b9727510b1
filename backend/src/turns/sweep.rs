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
    /// The work happens in the background. Answers how many turns there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recover(&self) -> Result<usize, Error> {
        let sql =
            "SELECT id FROM turns WHERE state IN ('provisioning', 'running') ORDER BY created_at";
        let open: Vec<(String,)> = self.db().all(sql, args![]).await?;
        let count = open.len();
        for (turn,) in open {
            let turn = TurnId::try_from(turn)?;
            self.renew_lease(&turn, self.config().timing.lease).await?;
            self.look_after_in_background(turn);
        }
        Ok(count)
    }

    /// One round of the background jobs. What fails is logged and comes again in the next round.
    pub(crate) async fn sweep(&self) {
        let jobs = [
            ("looking after turns", self.sweep_turns().await),
            ("deleting sandboxes", self.purge_sandboxes().await),
            ("removing old web sessions", self.purge_logins().await.map(drop)),
            ("removing old webhook ids", self.purge_webhooks().await.map(drop)),
        ];
        for (job, done) in jobs {
            if let Err(error) = done {
                tracing::error!(error = &error as &dyn std::error::Error, "{job} failed");
            }
        }
    }

    async fn sweep_turns(&self) -> Result<(), Error> {
        let now = now_ms();
        let due: Vec<(String,)> = self
            .db()
            .all(
                "SELECT id FROM turns WHERE state IN ('provisioning', 'running')
                 AND lease_until <= $1 ORDER BY lease_until LIMIT $2",
                args![now, BATCH],
            )
            .await?;
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
                self.look_after_in_background(TurnId::try_from(turn)?);
            }
        }
        Ok(())
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
        match self.settle_with(self.client(), turn).await {
            // Noted with the turn, which ends when that lasts too long.
            Err(Error::Unavailable { .. }) => Ok(()),
            done => done.map(drop),
        }
    }
}
