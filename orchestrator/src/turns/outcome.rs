//! How a turn ends, and the events that say so.

use sandbox_sdk::types::{
    Event, Extra, TokenUsage, TurnDone, TurnError, TurnMetadata, TurnResult, TurnState, event_type,
};

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
}

impl Stop {
    pub(crate) fn interrupted(code: &str, message: &str) -> Self {
        Self::Interrupted(turn_error(code, message))
    }

    pub(super) fn shutdown() -> Self {
        Self::interrupted("ORCHESTRATOR_STOPPED", "The orchestrator was stopped.")
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Aborted => Outcome { state: TurnState::Aborted, error: None },
            Self::Interrupted(error) => {
                Outcome { state: TurnState::Interrupted, error: Some(error) }
            }
        }
    }
}

impl Outcome {
    pub(super) fn completed() -> Self {
        Self { state: TurnState::Completed, error: None }
    }

    pub(super) fn failed(code: &str, message: impl Into<String>) -> Self {
        Self { state: TurnState::Failed, error: Some(turn_error(code, message)) }
    }
}

fn turn_error(code: &str, message: impl Into<String>) -> TurnError {
    TurnError { message: message.into(), code: Some(code.to_owned()), extra: Extra::new() }
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
    let result = TurnResult {
        final_text: final_text.to_owned(),
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
