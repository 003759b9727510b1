//! Turns as those find them who know an id: of a turn, of a session.

use std::sync::Arc;

use sandbox_sdk::types::{SessionStatus, TurnRecord};
use serde_json::Value;
use tokio::sync::broadcast;

use super::{TurnError, Turns};
use crate::{
    clock::iso,
    store::{SaidRow, SessionRow, TurnRow},
};

/// Turns that may have begun since a listener last looked. One who comes later looks at what runs.
pub(super) const BEGUN_AHEAD: usize = 256;

/// A turn that runs: where, and after which number its events begin.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) sandbox_id: Arc<str>,
    pub(crate) session_id: Arc<str>,
    pub(crate) since: u64,
}

impl Turns {
    pub(crate) async fn status(&self, session_id: &str) -> Result<SessionStatus, TurnError> {
        let row = self.session_row(session_id).await?;
        let log = self.0.logs.known_session(&row).await?;
        let running = self
            .active()
            .get(session_id)
            .map(|active| (active.turn_id.clone(), active.inquiries.count()));
        let (running, outstanding) = running.unzip();
        let last = self.0.store.last_of(row.key).await?;
        // Nothing has ended while something runs.
        let ended = last.turn.filter(|state| running.is_none() && state != "running");
        let more = [("lastEventAt", last.event_at.map(iso)), ("terminalReason", ended)];
        let told =
            |(name, text): (&str, Option<String>)| Some((name.to_owned(), Value::from(text?)));
        Ok(SessionStatus {
            session_id: session_id.to_owned(),
            state: if running.is_some() { "running" } else { "idle" }.to_owned(),
            active_execution_id: running,
            outstanding_interactions: outstanding.unwrap_or_default(),
            last_seq: log.head().seq,
            epoch: self.0.logs.epoch().to_owned(),
            extra: more.into_iter().filter_map(told).collect(),
        })
    }

    pub(crate) async fn record(
        &self,
        session_id: &str,
        turn_id: &str,
    ) -> Result<TurnRecord, TurnError> {
        let row = self.session_row(session_id).await?;
        let turn = self.0.store.turn(row.key, turn_id).await?;
        Ok(turn.ok_or_else(|| TurnError::missing("turn", turn_id))?.record(session_id)?)
    }

    async fn session_row(&self, session_id: &str) -> Result<SessionRow, TurnError> {
        let row = self.0.store.session(session_id).await?;
        row.ok_or_else(|| TurnError::missing("session", session_id))
    }

    /// Whether a turn runs in the sandbox.
    pub(crate) fn run_in(&self, sandbox_id: &str) -> bool {
        self.active().values().any(|active| active.sandbox_id == sandbox_id)
    }

    /// The turn of that id in a sandbox, and the id of its session.
    pub(crate) async fn find(
        &self,
        sandbox_id: &str,
        turn_id: &str,
    ) -> Result<Option<(String, TurnRow)>, TurnError> {
        Ok(self.0.store.turn_in_sandbox(sandbox_id, turn_id).await?)
    }

    /// The record of the turn that the session began last.
    pub(crate) async fn last_record(
        &self,
        session_id: &str,
    ) -> Result<Option<TurnRecord>, TurnError> {
        let row = self.session_row(session_id).await?;
        let turn = self.0.store.last_turn(row.key).await?;
        Ok(turn.map(|turn| turn.record(session_id)).transpose()?)
    }

    /// What was said in a session before the event of that number, the newest turn first.
    pub(crate) async fn said(
        &self,
        session_id: &str,
        before: Option<u64>,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<SaidRow>, TurnError> {
        let row = self.session_row(session_id).await?;
        Ok(self.0.store.said(row.key, before, limit, max_bytes).await?)
    }

    /// The turn that runs in a session.
    pub(crate) fn running_in(&self, session_id: &str) -> Option<String> {
        self.active().get(session_id).map(|active| active.turn_id.clone())
    }

    /// The turns that run in a sandbox.
    pub(crate) fn running_in_sandbox(&self, sandbox_id: &str) -> Vec<Begun> {
        let active = self.active();
        let here = active.iter().filter(|(_, active)| active.sandbox_id == sandbox_id);
        here.map(|(session_id, active)| active.begun(session_id)).collect()
    }

    /// Every turn that begins from now on.
    pub(crate) fn begun(&self) -> broadcast::Receiver<Begun> {
        self.0.begun.subscribe()
    }

    /// Ends the turn of a session and waits, not for ever, until it has ended.
    pub(crate) async fn stop_session(&self, session_id: &str) {
        // A turn stands in the database a moment before its runner can be asked.
        drop(self.abort(session_id, None).await);
        let ended = self.active().get(session_id).map(|active| active.ended.clone());
        if let Some(ended) = ended {
            // What does not end in time ends with the session.
            drop(tokio::time::timeout(super::STOP_PATIENCE, ended.cancelled()).await);
        }
    }
}

impl super::Active {
    pub(super) fn begun(&self, session_id: &str) -> Begun {
        Begun {
            sandbox_id: self.sandbox_id.as_str().into(),
            session_id: session_id.into(),
            since: self.since,
        }
    }
}
