//! What comes before a turn runs: what it is run with, and whether there is one already.

use std::sync::Arc;

use sandbox_sdk::types::{BackendChoice, DispatchReceipt, Event, ExecutionStarted, event_type};

use super::{TurnError, Turns};
use crate::{
    log::{Appended, SessionLog, TurnChange},
    models::Choice,
    profile::Profile,
    store::{NewTurn, StoreError, token_usage},
};

impl Turns {
    /// What the turn is run with. A profile that nobody knows is refused as at a sandbox's making.
    pub(super) async fn choose(
        &self,
        backend: Option<&BackendChoice>,
    ) -> Result<Choice, TurnError> {
        Profile::of(backend).map_err(TurnError::Invalid)?;
        let chosen = self.0.models.choose(&backend.cloned().unwrap_or_default()).await;
        chosen.map_err(TurnError::NotAvailable)
    }

    /// Refuses a turn of another session before a new one is made for it: what is refused leaves
    /// nothing behind.
    pub(super) async fn check_turn_id(
        &self,
        sandbox_id: &str,
        session_id: &str,
        turn_id: &str,
    ) -> Result<(), TurnError> {
        if self.0.store.session(session_id).await?.is_some() {
            // Whether it has the turn itself is seen when the turn is claimed.
            return Ok(());
        }
        match self.0.store.turn_in_sandbox(sandbox_id, turn_id).await? {
            Some(_) => Err(TurnError::OtherSession),
            None => Ok(()),
        }
    }

    /// The receipt of a turn that is known already.
    pub(super) async fn known(
        &self,
        sandbox_id: &str,
        session_id: &str,
        turn_id: &str,
    ) -> Result<Option<DispatchReceipt>, TurnError> {
        let session = self.0.store.session(session_id).await?;
        let Some(session) = session.filter(|session| session.sandbox_id == sandbox_id) else {
            return Ok(None);
        };
        let row = self.0.store.turn(session.key, turn_id).await?;
        Ok(row.and_then(|row| Appended::InTheWay(Box::new(row)).receipt(session_id, turn_id)))
    }

    /// Writes the turn's row and its first event, unless the turn is known.
    pub(super) async fn claim(
        &self,
        log: &Arc<SessionLog>,
        turn_id: &str,
        choice: &Choice,
        prompt: &str,
        input_tokens: u64,
    ) -> Result<DispatchReceipt, TurnError> {
        let model = choice.model_name();
        let usage = choice.is_metered().then(|| token_usage(0, 0));
        let turn = NewTurn {
            id: turn_id.to_owned(),
            model: model.clone(),
            prompt: prompt.to_owned(),
            input_tokens,
            usage,
        };
        let mut started = ExecutionStarted {
            execution_id: turn_id.to_owned(),
            session_id: log.id().to_owned(),
            model: Some(model),
            ..ExecutionStarted::default()
        };
        started.extra.insert("agent".to_owned(), choice.agent.clone().into());
        let started = Event::new(event_type::EXECUTION_STARTED, &started);
        let started = vec![started.map_err(StoreError::from)?];
        let appended = self.0.logs.append(log, started, Some(TurnChange::Begin(turn))).await?;
        appended.receipt(log.id(), turn_id).ok_or_else(|| match appended {
            Appended::InTheWay(row) => TurnError::Busy { turn_id: row.id },
            Appended::Elsewhere => TurnError::OtherSession,
            Appended::Written { .. } | Appended::AlreadyEnded => {
                TurnError::missing("turn", turn_id)
            }
        })
    }
}
