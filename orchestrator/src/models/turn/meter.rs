//! A turn's meter, as whoever runs the turn has it.

use std::{sync::Arc, time::Duration};

use sandbox_sdk::types::TurnError;
use tokio::sync::watch;

use super::{
    super::ModelGateway,
    OpenTurn,
    record::{Metered, used},
};
use crate::store::Used;

/// After the grace: what is cut off settles at once.
const SETTLING: Duration = Duration::from_secs(2);

/// Meters a turn while it runs. Dropping it ends the turn's access to its model.
#[derive(Debug)]
pub(crate) struct TurnMeter {
    turn: Arc<OpenTurn>,
    gateway: ModelGateway,
    token_hash: [u8; 32],
}

impl TurnMeter {
    pub(in crate::models) fn new(
        turn: Arc<OpenTurn>,
        gateway: ModelGateway,
        token_hash: [u8; 32],
    ) -> Self {
        Self { turn, gateway, token_hash }
    }

    /// Waits until the agent wanted more than it may have; why the turn ends.
    pub(crate) fn used_up(&self) -> impl Future<Output = TurnError> + Send + use<> {
        let mut used_up = self.turn.used_up.subscribe();
        async move {
            match used_up.wait_for(Option::is_some).await.map(|why| why.clone()) {
                Ok(Some(why)) => why,
                _ => std::future::pending().await,
            }
        }
    }

    /// What was used so far; it changes with every request that begins or ends.
    pub(crate) fn usage(&self) -> watch::Receiver<Used> {
        self.turn.usage.subscribe()
    }

    /// Ends the turn's access to its model. Requests under way have the given time to tell what
    /// they used; then they are cut and counted as far as they came.
    pub(crate) async fn close(self, grace: Duration) -> Metered {
        self.shut();
        let exchanges = &self.turn.exchanges;
        if tokio::time::timeout(grace, exchanges.wait()).await.is_err() {
            self.turn.cut.cancel();
            if tokio::time::timeout(SETTLING, exchanges.wait()).await.is_err() {
                tracing::error!(turn = self.turn.turn_id, "a model request did not end");
            }
        }
        let state = self.turn.state();
        Metered {
            usage: used(&state.records).tokens,
            requests: state.records.clone(),
            problem: state.problem.clone(),
            used_up: self.turn.used_up.borrow().clone(),
        }
    }

    fn shut(&self) {
        self.gateway.forget(&self.token_hash);
        self.turn.closed.cancel();
        self.turn.exchanges.close();
    }
}

impl Drop for TurnMeter {
    fn drop(&mut self) {
        self.shut();
        self.turn.cut.cancel();
    }
}
