//! What a client asks of a run, in either spelling.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, HeaderName};
use sandbox_sdk::types::{BackendChoice, Dispatch, Extra, InputPart, TurnLimits};
use serde::Deserialize;
use uuid::Uuid;

use crate::error::ApiError;

/// Names the execution; the same again is a look-up.
pub(super) const EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
/// The one definition of an agent that there is; which agent it is, `backend` says.
const DEFAULT: &str = "default";

/// `message`, `parts` or both: then the parts count, and the message where none of them has text.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Run {
    identifier: Option<String>,
    message: Option<String>,
    parts: Option<Vec<InputPart>>,
    pub(super) session_id: Option<String>,
    #[serde(alias = "executionId")]
    pub(super) turn_id: Option<String>,
    backend: Option<BackendChoice>,
    limits: TurnLimits,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// Which execution to stop.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Cancel {
    #[serde(alias = "turnId")]
    execution_id: Option<String>,
    pub(super) session_id: Option<String>,
}

impl Run {
    /// The id that the caller chose, in the header or in the body.
    pub(super) fn execution_id(&self, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
        one_of(headers, self.turn_id.as_ref())
    }

    /// Whether it says nothing, as one that only resumes.
    pub(super) fn is_empty(&self) -> bool {
        let has_parts = self.parts.as_ref().is_some_and(|parts| !parts.is_empty());
        let has_text = self.message.as_ref().is_some_and(|text| !text.trim().is_empty());
        !has_parts && !has_text
    }

    /// The session to run in. An execution that names none always gets the same one, so that two
    /// requests at once can't begin it twice.
    pub(super) fn session_id(&self, sandbox_id: &str, execution_id: Option<&str>) -> String {
        match (&self.session_id, execution_id) {
            (Some(session_id), _) => session_id.clone(),
            (None, Some(execution_id)) => derived(sandbox_id, execution_id),
            (None, None) => Uuid::now_v7().to_string(),
        }
    }

    pub(super) fn into_dispatch(self, execution_id: Option<String>) -> Result<Dispatch, ApiError> {
        if self.identifier.is_some_and(|identifier| identifier != DEFAULT) {
            let words = "identifier must be default: backend.type says which agent works";
            return Err(ApiError::invalid(words));
        }
        let message = self.message.filter(|text| !text.trim().is_empty());
        let mut parts = self.parts.unwrap_or_default();
        // Beside parts that say something it is the same in other words.
        if let Some(text) = message
            && !parts.iter().any(says_something)
        {
            parts.insert(0, InputPart::Text { text });
        }
        Ok(Dispatch {
            turn_id: execution_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            parts,
            backend: self.backend,
            limits: self.limits,
            extra: self.extra,
        })
    }
}

impl Cancel {
    pub(super) fn execution_id(&self, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
        one_of(headers, self.execution_id.as_ref())
    }
}

fn says_something(part: &InputPart) -> bool {
    matches!(part, InputPart::Text { text } if !text.trim().is_empty())
}

/// The id in the header, if there is one.
pub(super) fn header_id(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let read = |value: &axum::http::HeaderValue| value.to_str().map(|id| id.trim().to_owned());
    let id = headers.get(EXECUTION_ID).map(read).transpose();
    id.map_err(|_| ApiError::invalid("X-Execution-ID must be ASCII"))
}

fn one_of(headers: &HeaderMap, body: Option<&String>) -> Result<Option<String>, ApiError> {
    match (header_id(headers)?, body) {
        (Some(header), Some(body)) if header != *body => {
            let words = "turnId or executionId and the header X-Execution-ID must be the same";
            Err(ApiError::invalid(words))
        }
        (header, body) => Ok(header.or_else(|| body.cloned())),
    }
}

/// The session of an execution that names none. No caller can choose it but by the execution's id.
fn derived(sandbox_id: &str, execution_id: &str) -> String {
    let named = format!("session of a run\0{sandbox_id}\0{execution_id}");
    let hash = digest(&SHA256, named.as_bytes());
    let short: String = hex::encode(hash.as_ref()).chars().take(32).collect();
    format!("run-{short}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(body: serde_json::Value) -> Run {
        serde_json::from_value(body).unwrap()
    }

    fn text(run: Run) -> String {
        let dispatch = run.into_dispatch(None).unwrap();
        let texts = dispatch.parts.iter().map(|part| match part {
            InputPart::Text { text } => text.as_str(),
            InputPart::Other(_) => "?",
        });
        texts.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn both_spellings_of_a_body_mean_the_same() {
        let older = json!({"identifier": "default", "message": "hello", "metadata": {"a": 1}});
        let parts = json!([{"type": "text", "text": "hello"}]);
        let newer = json!({"message": "hello", "parts": parts, "sessionId": "s1"});
        // What has a name is not told as if it had none.
        let rest = |body: &serde_json::Value| run(body.clone()).extra;
        assert_eq!(rest(&older), *json!({"metadata": {"a": 1}}).as_object().unwrap());
        let ids = json!({"message": "x", "executionId": "e1", "limits": {}, "backend": {}});
        assert!(rest(&newer).is_empty() && rest(&ids).is_empty());
        assert_eq!((text(run(older)), text(run(newer))), ("hello".into(), "hello".into()));
        assert!(run(json!({"identifier": "other", "message": "x"})).into_dispatch(None).is_err());
    }

    #[test]
    fn a_message_beside_parts_that_say_nothing_is_not_lost() {
        let picture = json!({"type": "image", "url": "data:image/png;base64,"});
        assert_eq!(text(run(json!({"message": "look", "parts": [picture]}))), "look|?");
        let said = json!({"message": "look", "parts": [picture, {"type": "text", "text": "here"}]});
        assert_eq!(text(run(said)), "?|here");
    }

    #[test]
    fn one_that_only_resumes_says_nothing() {
        for body in [json!({}), json!({"message": ""}), json!({"message": " ", "parts": []})] {
            assert!(run(body).is_empty());
        }
        assert!(!run(json!({"message": "x"})).is_empty());
    }

    #[test]
    fn an_execution_without_a_session_always_gets_the_same_one() {
        let without = run(json!({"message": "x"}));
        let session = |sandbox: &str, execution| without.session_id(sandbox, execution);
        assert_eq!(session("a", Some("e1")), session("a", Some("e1")));
        assert_ne!(session("a", Some("e1")), session("a", Some("e2")));
        assert_ne!(session("a", Some("e1")), session("b", Some("e1")));
        assert_ne!(session("a", None), session("a", None));
        assert_eq!(run(json!({"sessionId": "s"})).session_id("a", Some("e1")), "s");
    }

    #[test]
    fn the_id_in_the_header_and_the_one_in_the_body_must_agree() {
        let mut headers = HeaderMap::new();
        let body = run(json!({"executionId": "e1"}));
        assert_eq!(body.execution_id(&headers).unwrap().as_deref(), Some("e1"));
        headers.insert(EXECUTION_ID, axum::http::HeaderValue::from_static(" e1 "));
        assert_eq!(body.execution_id(&headers).unwrap().as_deref(), Some("e1"));
        assert!(run(json!({"turnId": "e2"})).execution_id(&headers).is_err());
    }
}
