//! The end of a turn: its record, its last events and what the product is told, all or nothing.

use std::{sync::Arc, time::Duration};

use sandbox_sdk::types::{Event, TurnState};

use super::{Turn, Turns, cancel_reason_of};
use crate::{
    clock::now_ms,
    log::{Appended, LogError, TurnChange},
    store::{EndedTurn, StoreError, Used},
    turns::{
        meter::Message,
        outcome::{Outcome, last_events},
    },
    webhook::TurnEnded,
};

impl Turns {
    /// Writes the turn's record, its last events and its webhook, once. `pauses`: between tries, as
    /// long as the disk does not take them.
    pub(in crate::turns) async fn end(
        &self,
        turn: &Turn,
        mut message: Message,
        outcome: Outcome,
        used: Used,
        mut pauses: impl Iterator<Item = Duration>,
    ) -> Result<(), LogError> {
        let final_text = message.text();
        let session_id = turn.log.id();
        let mut events = message.cancel_open(cancel_reason_of(outcome.state == TurnState::Aborted));
        events.extend(
            last_events(session_id, &turn.id, &outcome, &final_text, &used.tokens)
                .map_err(not_written)?,
        );
        let told = TurnEnded {
            sandbox_id: turn.sandbox_id.clone(),
            session_id: session_id.to_owned(),
            turn_id: turn.id.clone(),
            outcome: outcome.state,
            usage: used.tokens.clone(),
        };
        let ended = EndedTurn {
            id: turn.id.clone(),
            state: outcome.state,
            final_text,
            parts: message.into_parts(now_ms()),
            used: used.clone(),
            error: outcome.error,
            webhook: self.0.webhooks.event(told).map_err(not_written)?,
        };
        loop {
            match self.write_end(turn, &events, &ended).await {
                Ok(true) => break,
                Ok(false) => return Ok(()),
                Err(error @ LogError::Store(_)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
                // Left to the next start.
                Err(LogError::Closed | LogError::SessionGone) => return Ok(()),
            }
        }
        tracing::info!(
            turn = turn.id,
            outcome = ?outcome.state,
            input = used.tokens.input_tokens,
            output = used.tokens.output_tokens,
            "turn ended"
        );
        Ok(())
    }

    /// Writes the end where it can be written. `false`: it was written before.
    async fn write_end(
        &self,
        turn: &Turn,
        events: &[Event],
        ended: &EndedTurn,
    ) -> Result<bool, LogError> {
        let change = Some(TurnChange::End(ended.clone()));
        let written = match self.0.logs.append(&turn.log, events.to_vec(), change).await {
            Ok(appended) => matches!(appended, Appended::Written { .. }),
            // Gone with its sandbox; what it used is still to be paid.
            Err(LogError::SessionGone) => {
                if let Some(webhook) = &ended.webhook {
                    self.0.webhooks.keep(webhook).await.map_err(not_written)?;
                }
                true
            }
            Err(error) => return Err(error),
        };
        self.0.webhooks.wake();
        Ok(written)
    }
}

fn not_written(error: impl Into<StoreError>) -> LogError {
    LogError::Store(Arc::new(error.into()))
}
