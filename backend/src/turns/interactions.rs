//! What an agent asks in the middle of a turn, and the person's answer to it.
//!
//! Nothing of it is stored before the turn ends: what was asked and what became of it stands in the
//! session's log, which the page watches, and at the end in the orchestrator's record.

use std::time::Duration;

use sandbox_sdk::{
    client,
    types::{InteractionAnswer, InteractionPart, Part, PartBody},
};
use serde_json::Value;

use super::{finish::clean, row::TurnRow};
use crate::{Account, Backend, Error, TurnId, TurnState};

/// Longest id of a request, in bytes.
const MAX_ID: usize = 256;
/// Most fields of an answer.
const MAX_FIELDS: usize = 64;
/// Longest answer, as JSON, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Names of fields that mean something else to a program that reads an answer as an object.
const RESERVED: [&str; 3] = ["__proto__", "constructor", "prototype"];
/// How long a page waits to hear what an agent asks. Its stream tells it in any case.
const PATIENCE: Duration = Duration::from_millis(300);
const NO_ANSWER: &str = "The sandbox service does not answer. Try again in a moment.";

impl Backend {
    /// Hands the person's answer to the agent that waits for it. What becomes of it is said by the
    /// session's log alone. The same answer again does no harm.
    ///
    /// # Errors
    /// `NotFound` for the turn; `Invalid` for the answer; `NotWaiting` when nobody waits for it any
    /// more; `Unavailable` while it can't be handed over.
    pub async fn answer_interaction(
        &self,
        account: &Account,
        turn: &TurnId,
        answer: &InteractionAnswer,
    ) -> Result<(), Error> {
        let row = self.owned_turn(account.id(), turn).await?;
        check(answer)?;
        let Some(remote) = sandbox_of(&row) else { return Err(Error::NotWaiting) };
        let sandbox = self.quick_client().sandbox(remote);
        sandbox
            .answer_interaction(&row.session_id, answer)
            .await
            .map_err(|error| refusal(turn, &error))
    }

    /// What the agent of a running turn waits for, as parts of its message. None where the
    /// orchestrator does not say it at once.
    pub(crate) async fn waiting_parts(&self, turn: &TurnId) -> Result<Vec<Part>, Error> {
        let Some(row) = self.turn_row(turn).await? else { return Ok(Vec::new()) };
        let Some(remote) = sandbox_of(&row) else { return Ok(Vec::new()) };
        let sandbox = self.client().with_timeout(PATIENCE).sandbox(remote);
        let waiting = sandbox.interactions(&row.session_id).await.unwrap_or_else(|error| {
            tracing::debug!(%turn, %error, "what an agent waits for is not known");
            Vec::new()
        });
        let part = |request: sandbox_sdk::types::InteractionRequest| Part {
            id: request.id.clone(),
            session_id: row.session_id.clone(),
            message_id: format!("msg_{turn}"),
            body: PartBody::Interaction(Box::new(InteractionPart::pending(request))),
        };
        Ok(waiting.into_iter().map(part).collect())
    }
}

/// Where the turn's agent works, while it does.
fn sandbox_of(row: &TurnRow) -> Option<String> {
    row.remote_id.clone().filter(|_| row.state == TurnState::Running)
}

/// Whether it can be an answer at all. Whether it answers what was asked knows the orchestrator.
fn check(answer: &InteractionAnswer) -> Result<(), Error> {
    let invalid = |message: &str| Err(Error::invalid("answer", message));
    if answer.id.is_empty() || answer.id.len() > MAX_ID {
        return invalid("There is no such request.");
    }
    if answer.data.len() > MAX_FIELDS || !answer.data.keys().all(|key| is_key(key)) {
        return invalid("It holds fields that were not asked for.");
    }
    if !answer.data.values().all(is_plain) {
        return invalid("It holds something that is no answer.");
    }
    let length = serde_json::to_string(&answer.data).map_or(usize::MAX, |json| json.len());
    if length > MAX_ANSWER {
        return invalid("The answer is too long.");
    }
    Ok(())
}

fn is_key(key: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !key.is_empty() && key.bytes().all(named) && !RESERVED.contains(&key)
}

/// A text, a number, yes or no; or a list of texts.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Array(texts) => texts.iter().all(Value::is_string),
        Value::Object(_) => false,
        _ => true,
    }
}

/// Why the orchestrator did not take an answer.
fn refusal(turn: &TurnId, error: &client::Error) -> Error {
    match error {
        // Answered, taken back, run out of time: in whichever words, it is over.
        client::Error::Api { status: 404 | 409 | 410, .. } => Error::NotWaiting,
        client::Error::Api { status: 400 | 413 | 422, message, .. } => {
            Error::invalid("answer", format!("The agent can't take this: {}.", clean(message)))
        }
        client::Error::Api { status: 501, .. } => {
            Error::conflict("The sandbox service can't hand over answers.")
        }
        error => {
            tracing::warn!(%turn, %error, "an answer could not be handed over");
            Error::unavailable(NO_ANSWER)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(answer: Value) -> bool {
        check(&serde_json::from_value(answer).unwrap()).is_err()
    }

    #[test]
    fn only_a_small_answer_of_plain_values_under_plain_names_is_handed_over() {
        let with = |data: Value| refused(json!({"id": "i", "outcome": "accepted", "data": data}));
        assert!(!with(json!({"a": "x", "b-1": 2.5, "c_2": true, "d": ["x", "y"], "e": null})));
        for key in ["__proto__", "constructor", "prototype", "", "a b", "a.b", "ä"] {
            assert!(with(json!({key: "x"})), "{key}");
        }
        for value in [json!({"a": 1}), json!([["x"]]), json!([1]), json!("x".repeat(MAX_ANSWER))] {
            assert!(with(json!({"a": value})), "{value}");
        }
        let many = (0..=MAX_FIELDS).map(|at| (format!("f{at}"), json!(1))).collect();
        assert!(with(Value::Object(many)));
        assert!(refused(json!({"id": "", "outcome": "accepted"})));
        assert!(refused(json!({"id": "i".repeat(MAX_ID + 1), "outcome": "declined"})));
    }
}
