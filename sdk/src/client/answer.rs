//! Reads answers, in an envelope or flat, and errors in every shape the services send.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use crate::types::{ErrorCode, Extra};

/// Keys under which services wrap what was asked for.
const ENVELOPES: [&str; 7] =
    ["data", "result", "sandboxes", "sandbox", "project", "session", "turn"];
/// Longest pause that a service may ask for. Beyond it there is no use in waiting, and a clock may
/// overflow.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
const NOT_FOUND: u16 = 404;
const BAD_GATEWAY: u16 = 502;
/// Longest part of a plain-text answer that goes into an error.
const MAX_MESSAGE_CHARS: usize = 300;

/// Reads an answer that may be wrapped, even twice.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8], context: &'static str) -> Result<T, Error> {
    let failed = |error| Error::Decode { context, source: Some(error) };
    let value: Value = serde_json::from_slice(body).map_err(failed)?;
    let mut candidate = value;
    loop {
        // The innermost envelope first: a flat answer has none of the keys, but a wrapped one may be
        // made of fields that all have defaults.
        match unwrap(candidate) {
            Ok(inner) => candidate = inner,
            Err(flat) => return serde_json::from_value(flat).map_err(failed),
        }
    }
}

/// The wrapped object or list, or else the value itself.
fn unwrap(mut value: Value) -> Result<Value, Value> {
    if let Value::Object(fields) = &mut value {
        for key in ENVELOPES {
            if matches!(fields.get(key), Some(Value::Object(_) | Value::Array(_)))
                && let Some(inner) = fields.remove(key)
            {
                return Ok(inner);
            }
        }
    }
    Err(value)
}

/// Makes an error of an answer: `{error: {code, message}}`, `{error: "text", code}`, `{message}`, or
/// plain text.
pub(super) fn api_error(
    status: u16,
    body: &[u8],
    request_id: Option<String>,
    retry_after: Option<&str>,
) -> Error {
    let mut fields = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        _ => plain_text(body),
    };
    let error = fields.remove("error");
    let inner = |key: &str| error.as_ref().and_then(|error| error.get(key)).and_then(text);
    let code = inner("code").or_else(|| fields.get("code").and_then(text));
    let message = inner("message")
        .or_else(|| error.as_ref().and_then(text))
        .or_else(|| fields.get("message").and_then(text))
        .unwrap_or_else(|| "the service refused".to_owned());
    for key in ["success", "code", "message"] {
        fields.remove(key);
    }
    // Without a code it is not the service that speaks, but something before it that can't find the
    // service: nobody may conclude from it that a sandbox or a turn is gone.
    let status = if status == NOT_FOUND && code.is_none() { BAD_GATEWAY } else { status };
    let seconds = retry_after.and_then(|value| value.trim().parse().ok());
    let pause = seconds.map(Duration::from_secs).or_else(|| retry_after_in(&fields));
    Error::Api {
        status,
        code: code.unwrap_or_else(|| code_of(status).to_owned()),
        message,
        request_id,
        retry_after: pause.map(|pause| pause.min(MAX_RETRY_AFTER)),
        details: Box::new(fields),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn plain_text(body: &[u8]) -> Extra {
    let message: String = String::from_utf8_lossy(body).chars().take(MAX_MESSAGE_CHARS).collect();
    let mut fields = Extra::new();
    fields.insert("message".to_owned(), message.trim().into());
    fields
}

fn retry_after_in(fields: &Extra) -> Option<Duration> {
    let number = |key: &str| fields.get(key).and_then(Value::as_u64);
    number("retryAfterMs")
        .or_else(|| number("retry_after_ms"))
        .map(Duration::from_millis)
        .or_else(|| number("retryAfter").map(Duration::from_secs))
}

fn code_of(status: u16) -> &'static str {
    ErrorCode::of_status(status).map_or("UNKNOWN_ERROR", ErrorCode::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ExecResult, Project, Sandbox};

    #[test]
    fn answers_are_read_in_an_envelope_and_flat() {
        let flat = r#"{"exitCode":3,"stdout":"x"}"#;
        for body in [
            flat.to_owned(),
            format!(r#"{{"success":true,"result":{flat}}}"#),
            format!(r#"{{"success":true,"data":{{"result":{flat}}}}}"#),
        ] {
            let result: ExecResult = decode(body.as_bytes(), "exec").unwrap();
            assert_eq!((result.exit_code, result.stdout.as_str()), (3, "x"), "{body}");
        }
        let project: Project =
            decode(br#"{"project":{"id":"p","status":"ready"}}"#, "project").unwrap();
        assert_eq!(project.project_ref, "p");
        for body in [r#"[{"id":"s","status":"x"}]"#, r#"{"sandboxes":[{"id":"s","status":"x"}]}"#] {
            let list: Vec<Sandbox> = decode(body.as_bytes(), "list").unwrap();
            assert_eq!(list[0].id, "s");
        }
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        for (body, expected_code, expected_message) in [
            (r#"{"success":false,"error":{"code":"A","message":"m"},"code":"B"}"#, "A", "m"),
            (r#"{"error":"m","code":"B"}"#, "B", "m"),
            (r#"{"message":"m"}"#, "INVALID_STATE", "m"),
            ("  m\n", "INVALID_STATE", "m"),
            ("", "INVALID_STATE", "the service refused"),
            (r#"["m"]"#, "INVALID_STATE", r#"["m"]"#),
        ] {
            match api_error(409, body.as_bytes(), None, None) {
                Error::Api { code, message, .. } => {
                    assert_eq!(
                        (code.as_str(), message.as_str()),
                        (expected_code, expected_message)
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn only_the_service_itself_can_say_that_something_does_not_exist() {
        let own = api_error(404, br#"{"error":{"code":"NOT_FOUND","message":"m"}}"#, None, None);
        assert!(own.is_not_found() && !own.is_retryable());
        for body in ["", "404 page not found", "<h1>404</h1>", r#"{"message":"no route"}"#] {
            let foreign = api_error(404, body.as_bytes(), None, None);
            assert!(!foreign.is_not_found() && foreign.is_retryable(), "{body}: {foreign:?}");
        }
    }

    #[test]
    fn retry_advice_comes_from_the_header_or_from_the_body() {
        let advice = |body: &str, header| {
            api_error(429, body.as_bytes(), None, header).retry_after().map(|span| span.as_millis())
        };
        assert_eq!(advice("{}", Some("7")), Some(7000));
        assert_eq!(advice(r#"{"retryAfterMs":250}"#, None), Some(250));
        assert_eq!(advice(r#"{"retry_after_ms":250}"#, None), Some(250));
        assert_eq!(
            advice(r#"{"retryAfter":2}"#, Some("Wed, 21 Oct 2026 07:28:00 GMT")),
            Some(2000)
        );
        assert_eq!(advice("{}", None), None);
        let day = Some(24 * 3600 * 1000);
        assert_eq!(advice("{}", Some("18446744073709551615")), day);
        assert_eq!(advice(r#"{"retryAfter":18446744073709551615}"#, None), day);
    }
}
