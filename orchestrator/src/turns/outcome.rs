//! How a turn ends, and the events that say so.

use sandbox_sdk::types::{
    Event, Extra, TokenUsage, TurnDone, TurnError, TurnMetadata, TurnRecord, TurnResult, TurnState,
    event_type,
};

use super::ingest::{MAX_EVENT, MAX_MESSAGE, MAX_TEXT, shorten};
use crate::models::Metered;

/// Longest final text in an event whose answer is longer, in bytes.
const MAX_FINAL_TEXT: usize = 96 * 1024;
/// What else stands in that event.
const BESIDE_FINAL_TEXT: usize = 4 * 1024;

/// Why a running turn is told to stop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The person wants no more of it.
    Aborted,
    /// Something from outside cuts it off.
    Interrupted(TurnError),
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) state: TurnState,
    pub(super) error: Option<TurnError>,
    /// The agent ended by itself, and this is what it says of it.
    pub(super) by_agent: bool,
}

impl Stop {
    pub(crate) fn interrupted(code: &str, message: &str) -> Self {
        Self::Interrupted(turn_error(code, message))
    }

    pub(crate) fn sandbox_stopped() -> Self {
        Self::interrupted("SANDBOX_STOPPED", "The sandbox was stopped.")
    }

    pub(super) fn shutdown() -> Self {
        Self::interrupted("ORCHESTRATOR_STOPPED", "The orchestrator was stopped.")
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Aborted => Outcome::new(TurnState::Aborted, None),
            Self::Interrupted(error) => Outcome::new(TurnState::Interrupted, Some(error)),
        }
    }
}

impl Outcome {
    fn new(state: TurnState, error: Option<TurnError>) -> Self {
        Self { state, error, by_agent: false }
    }

    pub(super) fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::because(turn_error(code, message))
    }

    pub(super) fn because(error: TurnError) -> Self {
        Self::new(TurnState::Failed, Some(error))
    }

    pub(super) fn of_agent(state: TurnState, error: Option<TurnError>) -> Self {
        Self { state, error, by_agent: true }
    }

    /// The state in a word, for traces.
    pub(super) fn word(&self) -> &'static str {
        match self.state {
            TurnState::Completed => "completed",
            TurnState::Failed => "failed",
            TurnState::Aborted => "aborted",
            TurnState::Interrupted => "interrupted",
            TurnState::Running => "running",
        }
    }

    /// What the gateway knows better than the agent: that it could not go on, and why its model
    /// failed it.
    pub(super) fn explained_by(self, metered: &Metered) -> Self {
        if !self.by_agent {
            return self;
        }
        if let Some(why) = &metered.used_up {
            return Self::because(why.clone());
        }
        match &metered.problem {
            Some(problem) if self.state == TurnState::Failed => Self::because(problem.clone()),
            _ => self,
        }
    }
}

/// The message may be a sandbox's own words, as long as it likes.
fn turn_error(code: &str, message: impl Into<String>) -> TurnError {
    let mut message = message.into();
    shorten(&mut message, MAX_MESSAGE);
    TurnError { message, code: Some(code.to_owned()), extra: Extra::new() }
}

/// The last events of a turn, in their order: `error` if there is one, `result`, `done`.
pub(super) fn last_events(
    session_id: &str,
    turn_id: &str,
    outcome: &Outcome,
    final_text: &str,
    usage: &TokenUsage,
) -> serde_json::Result<Vec<Event>> {
    let metadata = TurnMetadata {
        session_id: session_id.to_owned(),
        turn_id: turn_id.to_owned(),
        extra: Extra::new(),
    };
    let (final_text, truncated) = fit(final_text);
    let result = TurnResult {
        final_text,
        truncated,
        token_usage: usage.clone(),
        metadata,
        extra: Extra::new(),
    };
    let done = TurnDone {
        turn_id: turn_id.to_owned(),
        outcome: outcome.state,
        token_usage: usage.clone(),
        extra: Extra::new(),
    };
    let error = outcome.error.as_ref().map(|error| Event::new(event_type::ERROR, error));
    error
        .into_iter()
        .chain([Event::new(event_type::RESULT, &result), Event::new(event_type::DONE, &done)])
        .collect()
}

/// The same of a turn that has ended, as its record has them. None while it runs.
pub(crate) fn ending_of(record: &TurnRecord) -> Option<Vec<Event>> {
    if !record.state.is_final() {
        return None;
    }
    let outcome = Outcome::of_agent(record.state, record.error.clone());
    let (session_id, turn_id) = (&record.session_id, &record.turn_id);
    last_events(session_id, turn_id, &outcome, &record.final_text, &record.token_usage).ok()
}

/// The text as far as an event may hold it, and whether that is not all of it.
fn fit(text: &str) -> (String, bool) {
    let is_sendable = |text: &str| {
        let json = serde_json::to_string(text);
        json.is_ok_and(|json| json.len() <= MAX_EVENT - BESIDE_FINAL_TEXT)
    };
    let mut fitting = text.to_owned();
    // As JSON a text may be six times as long.
    for most in [MAX_FINAL_TEXT, MAX_TEXT] {
        if is_sendable(&fitting) {
            break;
        }
        fitting.truncate(0);
        fitting.push_str(text);
        shorten(&mut fitting, most);
    }
    let truncated = fitting != text;
    (fitting, truncated)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The last events of a turn that gave this answer.
    pub(crate) fn last_events_of(text: &str) -> Vec<Event> {
        let outcome = Outcome::failed("X", "x".repeat(MAX_EVENT));
        last_events("s", "t", &outcome, text, &TokenUsage::default()).unwrap()
    }

    #[test]
    fn no_answer_makes_an_event_too_large_and_a_cut_one_says_so() {
        for (answer, truncated) in [
            ("short".to_owned(), false),
            ("x".repeat(100_000), false),
            ("ä".repeat(300_000), true),
            ("\u{1}".repeat(600_000), true),
        ] {
            let events = last_events_of(&answer);
            for event in &events {
                let json = serde_json::to_string(event).unwrap();
                assert!(json.len() <= MAX_EVENT + 64, "{} bytes of {}", json.len(), event.kind);
            }
            let data = &events[1].data;
            let text = data["finalText"].as_str().unwrap();
            assert_eq!(data.get("truncated").is_some(), truncated);
            assert_eq!(text == answer, !truncated);
            assert_eq!(text.ends_with("more bytes)"), truncated);
        }
    }

    fn metered(used_up: Option<&str>, problem: Option<&str>) -> Metered {
        let error = |code: &str| turn_error(code, "words");
        Metered { used_up: used_up.map(error), problem: problem.map(error), ..Metered::default() }
    }

    fn code(outcome: &Outcome) -> Option<&str> {
        outcome.error.as_ref()?.code.as_deref()
    }

    #[test]
    fn a_failed_agent_is_explained_by_what_its_model_did() {
        let failed = || Outcome::of_agent(TurnState::Failed, Some(turn_error("AGENT_FAILED", "?")));
        let explained = failed().explained_by(&metered(None, Some("MODEL_NOT_FOUND")));
        assert_eq!(code(&explained), Some("MODEL_NOT_FOUND"));
        assert_eq!(code(&failed().explained_by(&metered(None, None))), Some("AGENT_FAILED"));
    }

    #[test]
    fn a_turn_that_used_up_everything_has_not_completed() {
        let completed = || Outcome::of_agent(TurnState::Completed, None);
        let ended = completed().explained_by(&metered(Some("OUT_OF_CREDITS"), Some("MODEL_X")));
        assert_eq!((ended.state, code(&ended)), (TurnState::Failed, Some("OUT_OF_CREDITS")));
        let ended = completed().explained_by(&metered(None, Some("MODEL_X")));
        assert_eq!(ended.state, TurnState::Completed);
    }

    #[test]
    fn what_ended_the_turn_from_outside_stands() {
        let aborted = Stop::Aborted.outcome();
        let ended = aborted.explained_by(&metered(Some("OUT_OF_CREDITS"), Some("MODEL_X")));
        assert_eq!((ended.state, code(&ended)), (TurnState::Aborted, None));
    }
}
