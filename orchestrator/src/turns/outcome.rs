//! How a turn ends, and the events that say so.

use sandbox_sdk::types::{
    Event, Extra, TokenUsage, TurnDone, TurnError, TurnMetadata, TurnResult, TurnState, event_type,
};

use crate::models::Metered;

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

#[cfg(test)]
mod tests {
    use super::*;

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
