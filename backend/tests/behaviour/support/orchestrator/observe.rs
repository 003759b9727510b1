//! What a test sees of the orchestrator.

use sandbox_sdk::types::{BackendChoice, InteractionAnswer, SessionMapping, TurnLimits, TurnState};

use super::{Orchestrator, Turn};

impl Orchestrator {
    /// How often something was called, by the beginning of its log line.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.book().log.iter().filter(|line| line.starts_with(call)).count()
    }

    /// Calls that are about sandboxes and turns.
    pub(crate) fn log(&self) -> Vec<String> {
        self.book().log.iter().filter(|line| !line.starts_with("agents")).cloned().collect()
    }

    /// The traces that calls came with, of those whose method and path begin and end so.
    pub(crate) fn traces(&self, begin: &str, end: &str) -> Vec<Option<String>> {
        let book = self.book();
        let is = |call: &str| call.starts_with(begin) && call.ends_with(end);
        let traces = book.traces.iter().filter(|(call, _)| is(call));
        traces.map(|(_, trace)| trace.clone()).collect()
    }

    pub(crate) fn sandboxes(&self) -> usize {
        self.book().sandboxes.len()
    }

    /// Turns that an agent was started for.
    pub(crate) fn runs(&self) -> usize {
        self.book().turns.len()
    }

    pub(crate) fn mapping(&self, session: &str) -> Option<SessionMapping> {
        self.book().mappings.get(session).cloned()
    }

    pub(crate) fn is_running(&self, turn: &str) -> bool {
        let book = self.book();
        let state = |t: &Turn| t.record.turn_id == turn && t.record.state == TurnState::Running;
        book.turns.values().any(state)
    }

    pub(crate) fn has(&self, turn: &str) -> bool {
        self.book().turns.keys().any(|(_, id)| id == turn)
    }

    pub(crate) fn prompt(&self, turn: &str) -> String {
        self.turn(turn).prompt
    }

    pub(crate) fn backend(&self, turn: &str) -> BackendChoice {
        self.turn(turn).backend.expect("a turn that says what to run")
    }

    pub(crate) fn limits(&self, turn: &str) -> TurnLimits {
        self.turn(turn).limits
    }

    /// What agents were answered.
    pub(crate) fn answers(&self) -> Vec<InteractionAnswer> {
        self.book().answers.clone()
    }
}
