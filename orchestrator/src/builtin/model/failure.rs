//! Why a model did not answer, and what that means.

use std::time::Duration;

use sandbox_sdk::types::TurnError;
use serde_json::Value;

/// Characters of a provider's words that are passed on.
const MAX_WORDS: usize = 500;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::builtin) enum Failure {
    /// It said no.
    Refused { status: u16, message: String, retry_after: Option<Duration> },
    /// No answer came, or none that could be read to its end.
    Broken(String),
}

impl Failure {
    /// Every format has its own shape of errors; hosts have theirs.
    pub(super) fn refused(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let message = match serde_json::from_slice::<Value>(body) {
            Ok(body) => words(&body),
            Err(_) => None,
        };
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let message = message.chars().take(MAX_WORDS).collect();
        Self::Refused { status, message, retry_after }
    }

    /// An error in the place of an event: the answer had begun when it came.
    pub(super) fn of_event(event: &Value) -> Option<Self> {
        let error = event.get("error").filter(|error| !error.is_null())?;
        let kind = error.get("type").and_then(Value::as_str).unwrap_or_default();
        let code = error.get("code").and_then(Value::as_u64).and_then(|code| code.try_into().ok());
        let status = match kind {
            "overloaded_error" => 529,
            "rate_limit_error" => 429,
            "invalid_request_error" => 400,
            "authentication_error" | "permission_error" => 403,
            "not_found_error" => 404,
            "billing_error" | "insufficient_quota" => 402,
            _ => code.filter(|code| *code >= 400).unwrap_or(500),
        };
        let message = words(event).unwrap_or_else(|| "the provider reported an error".into());
        let message = message.chars().take(MAX_WORDS).collect();
        Some(Self::Refused { status, message, retry_after: None })
    }

    /// Whether it may go well when it is tried again.
    pub(in crate::builtin) fn is_passing(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Refused { status, .. } => {
                matches!(status, 408 | 409 | 425 | 429 | 500 | 502..=504 | 520..=529)
            }
        }
    }

    pub(in crate::builtin) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Broken(_) => None,
        }
    }

    /// The model, or what serves it, knows nothing of tools.
    pub(in crate::builtin) fn is_about_tools(&self) -> bool {
        let told = ["tool", "function call", "--jinja"];
        self.complains(&[400, 404, 422, 500, 501], &told)
    }

    /// The conversation is longer than what the model can read.
    pub(in crate::builtin) fn is_about_length(&self) -> bool {
        let told =
            ["too long", "context length", "context size", "context window", "maximum context"];
        matches!(self, Self::Refused { status: 413, .. })
            || self.complains(
                &[400, 422, 500],
                &[&told[..], &["exceed_context", "context_length"]].concat(),
            )
    }

    /// The model can't write as much as it was allowed to.
    pub(in crate::builtin) fn is_about_max_tokens(&self) -> bool {
        self.complains(&[400, 422], &["max_tokens", "maximum allowed number of output tokens"])
    }

    /// The model can't be told how long to think.
    pub(in crate::builtin) fn is_about_thinking(&self) -> bool {
        self.complains(&[400, 422], &["thinking", "budget_tokens"])
    }

    fn complains(&self, statuses: &[u16], about: &[&str]) -> bool {
        let Self::Refused { status, message, .. } = self else { return false };
        let message = message.to_lowercase();
        statuses.contains(status) && about.iter().any(|word| message.contains(word))
    }

    /// In a few words, for people.
    pub(in crate::builtin) fn in_short(&self) -> String {
        match self {
            Self::Broken(reason) => format!("The connection to the model failed: {reason}"),
            Self::Refused { status: 429, .. } => "The model's provider wants fewer requests".into(),
            Self::Refused { status: 503 | 529, .. } => "The model is overloaded".into(),
            Self::Refused { status, .. } => format!("The model answered with error {status}"),
        }
    }

    /// The turn's end, when nothing helped.
    pub(in crate::builtin) fn into_error(self) -> TurnError {
        let (code, message) = match &self {
            Self::Broken(_) => ("MODEL_UNAVAILABLE", format!("{}.", self.in_short())),
            Self::Refused { status, message, .. } => {
                let (code, what) = meaning(*status, &self);
                (code, if message.is_empty() { what.into() } else { format!("{what} {message}") })
            }
        };
        TurnError { message, code: Some(code.to_owned()), extra: Default::default() }
    }
}

fn meaning(status: u16, failure: &Failure) -> (&'static str, &'static str) {
    match status {
        402 => ("OUT_OF_CREDITS", "The turn used up what was set aside for it."),
        401 | 403 => ("MODEL_KEY_REFUSED", "The model's provider refused the key."),
        404 => ("MODEL_NOT_FOUND", "The model's provider doesn't know this model."),
        _ if failure.is_about_length() => {
            ("CONTEXT_TOO_LONG", "The conversation is longer than the model can read.")
        }
        429 => ("MODEL_UNAVAILABLE", "The model's provider wants fewer requests."),
        503 | 529 => ("MODEL_UNAVAILABLE", "The model is overloaded."),
        500.. => ("MODEL_UNAVAILABLE", "The model's provider has a problem."),
        _ => ("MODEL_REFUSED", "The model's provider refused the request."),
    }
}

/// What a person can read in an error.
fn words(body: &Value) -> Option<String> {
    let error = body.get("error").unwrap_or(body);
    let found = [error.get("message"), Some(error), body.get("message"), body.get("detail")];
    found.into_iter().flatten().find_map(|value| value.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Failure {
        Failure::refused(status, body.as_bytes(), None)
    }

    fn told(failure: Failure) -> (String, String) {
        let error = failure.into_error();
        (error.code.unwrap(), error.message)
    }

    #[test]
    fn the_providers_words_are_found_in_every_shape() {
        let bodies = [
            r#"{"type":"error","error":{"type":"x","message":"no luck"}}"#,
            r#"{"error":{"message":"no luck","code":null}}"#,
            r#"{"error":"no luck"}"#,
            r#"{"message":"no luck"}"#,
            r#"{"detail":"no luck"}"#,
            "no luck\n",
        ];
        for body in bodies {
            let (code, message) = told(refused(400, body));
            assert_eq!(code, "MODEL_REFUSED");
            assert!(message.ends_with(" no luck"), "{body}: {message}");
        }
    }

    #[test]
    fn each_refusal_has_its_code() {
        let codes = [402, 403, 404, 529, 418].map(|status| told(refused(status, "")).0);
        let expected = [
            "OUT_OF_CREDITS",
            "MODEL_KEY_REFUSED",
            "MODEL_NOT_FOUND",
            "MODEL_UNAVAILABLE",
            "MODEL_REFUSED",
        ];
        assert_eq!(codes, expected);
        assert!(!refused(402, "").is_passing() && refused(529, "").is_passing());
    }

    #[test]
    fn what_hosts_say_about_models_without_tools_is_understood() {
        let said = [
            (
                400,
                r#"{"error":{"message":"registry.ollama.ai/library/gemma:2b does not support tools"}}"#,
            ),
            (404, r#"{"error":{"message":"No endpoints found that support tool use."}}"#),
            (500, r#"{"error":{"message":"tools param requires --jinja flag"}}"#),
            (400, r#"{"message":"\"auto\" tool choice requires --enable-auto-tool-choice"}"#),
        ];
        assert!(said.into_iter().all(|(status, body)| refused(status, body).is_about_tools()));
        assert!(!refused(400, "bad temperature").is_about_tools());
        assert!(!refused(529, "tool").is_about_tools());
    }

    #[test]
    fn what_hosts_say_about_long_conversations_is_understood() {
        let said = [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "This model's maximum context length is 8192 tokens",
            "the request exceeds the available context size, try increasing it",
            "Your input exceeds the context window of this model",
        ];
        assert!(said.into_iter().all(|body| refused(400, body).is_about_length()));
        assert_eq!(told(refused(413, "")).0, "CONTEXT_TOO_LONG");
    }

    #[test]
    fn an_error_in_the_stream_is_an_error() {
        let event = serde_json::json!({"type": "error",
            "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let failure = Failure::of_event(&event).unwrap();
        assert!(failure.is_passing());
        assert!(Failure::of_event(&serde_json::json!({"choices": [], "error": null})).is_none());
    }
}
