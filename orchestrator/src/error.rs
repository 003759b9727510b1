//! The error envelope: every failure of the REST API has a status, a stable code and words.

use std::time::Duration;

use axum::{
    extract::{
        path::ErrorKind,
        rejection::{PathRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sandbox_sdk::types::{ErrorBody, ErrorCode, Extra, TurnError as Problem};
use serde_json::Value;

use crate::{
    flaw::Flaw,
    log::LogError,
    sandboxes::SandboxError,
    sealed::SealError,
    sidecar::SidecarError,
    store::StoreError,
    turns::TurnError,
    vault::{MAX_SECRETS, VaultError},
};

/// A request that was not done. What it says may be shown to anyone who could make the request.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    /// Seconds after which it may go better, where that can be said.
    retry_after: u32,
    body: Box<ErrorBody>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, retry_after: 2, body: Box::new(ErrorBody::new(code, message)) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// A part of the request, and what is wrong with it.
    pub(crate) fn flawed(part: &str, flaw: &Flaw) -> Self {
        Self::invalid(not_valid(part, flaw)).about_fields(flaw.fields())
    }

    /// What is wrong with single fields, by name.
    pub(crate) fn about_fields(self, fields: Option<Extra>) -> Self {
        match fields {
            Some(fields) => self.with("fields", fields),
            None => self,
        }
    }

    /// `id` may be empty, where none was asked for.
    pub(crate) fn not_found(kind: &str, id: &str) -> Self {
        let missing = Self::new(ErrorCode::NotFound, format!("{kind} not found"));
        let missing = missing.with("resourceType", kind);
        match id {
            "" => missing,
            id => missing.with("resourceId", id.chars().take(200).collect::<String>()),
        }
    }

    /// There are as many of these as there may be; what there are is counted by `quota`.
    pub(crate) fn too_many(
        quota: &str,
        current: usize,
        limit: usize,
        message: impl Into<String>,
    ) -> Self {
        Self::new(ErrorCode::QuotaExceeded, message)
            .with("quotaType", quota)
            .with("current", current)
            .with("limit", limit)
    }

    /// Adds a field to the envelope's top level.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body.extra.insert(field.to_owned(), value.into());
        self
    }

    /// When it may go better, instead of soon.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        self.retry_after = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        self
    }

    /// What the protocol knows and this orchestrator can't do: the feature's name, and why.
    pub(crate) fn not_implemented(feature: &str, reason: &str) -> Self {
        Self::new(ErrorCode::NotImplemented, reason).with("feature", feature).with("reason", reason)
    }

    /// Something of ours failed. The log gets the reason, the caller does not.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed");
        Self::new(ErrorCode::Server, "The orchestrator could not do this.")
    }

    /// The database did not do it. When the disk takes no more, that is said: it may pass.
    fn not_stored(error: &StoreError) -> Self {
        let internal = Self::internal(error);
        if !error.is_of_the_disk() {
            return internal;
        }
        Self::unavailable("The orchestrator's disk takes nothing more at the moment.")
    }

    /// No turn can be run with what was asked for.
    fn not_available(problem: Problem) -> Self {
        let error = Self::invalid(problem.message);
        match problem.code {
            Some(reason) => error.with("reason", reason),
            None => error,
        }
    }

    fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.body)).into_response();
        if matches!(self.code, ErrorCode::QuotaExceeded | ErrorCode::Unavailable) {
            let seconds = axum::http::HeaderValue::from(self.retry_after);
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// What is wrong with a part of a request, as a sentence.
pub(crate) fn not_valid(part: &str, flaw: &Flaw) -> String {
    format!("The {part} is not valid: {flaw}.")
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        let PathRejection::FailedToDeserializePathParams(failed) = &rejection else {
            return Self::invalid("The path could not be read.");
        };
        match failed.kind() {
            ErrorKind::ParseErrorAtKey { value, expected_type, .. }
            | ErrorKind::ParseErrorAtIndex { value, expected_type, .. }
            | ErrorKind::ParseError { value, expected_type } => {
                Self::flawed("path", &Flaw::of_path(value, expected_type))
            }
            _ => Self::invalid("The path is not UTF-8."),
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::flawed("query", &Flaw::of(&rejection))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::not_stored(&error)
    }
}

impl From<SandboxError> for ApiError {
    fn from(error: SandboxError) -> Self {
        let message = error.to_string();
        match error {
            SandboxError::NotFound { id } => Self::not_found("sandbox", &id),
            SandboxError::Invalid(_) => Self::invalid(message),
            SandboxError::Flawed(flaw) => Self::invalid(message).about_fields(flaw.fields()),
            SandboxError::NotImplemented { feature, reason } => {
                Self::not_implemented(feature, &reason)
            }
            SandboxError::DriverNotAllowed(_) | SandboxError::NetworkNotAllowed => {
                Self::new(ErrorCode::Forbidden, message)
            }
            SandboxError::NotHard(limits) => {
                Self::invalid(message).with("reason", "LIMIT_NOT_HARD").with("limits", limits)
            }
            SandboxError::NotAvailable(problem) => Self::not_available(problem),
            SandboxError::BeingDeleted => {
                Self::new(ErrorCode::InvalidState, message).with("currentState", "deleted")
            }
            SandboxError::Expired => {
                Self::new(ErrorCode::InvalidState, message).with("currentState", "expired")
            }
            SandboxError::CalledOff => {
                Self::new(ErrorCode::InvalidState, message).with("currentState", "stopped")
            }
            SandboxError::Unreadable(_) => Self::new(ErrorCode::InvalidState, message),
            SandboxError::TooMany { current, limit } => {
                Self::too_many("sandboxes", current, limit, message)
            }
            SandboxError::NoRoom(limit) => {
                Self::too_many("concurrent_sandboxes", limit, limit, message)
            }
            SandboxError::TooManyPorts(limit) => Self::too_many("ports", limit, limit, message),
            SandboxError::Start(_) | SandboxError::ShuttingDown => Self::unavailable(message),
            SandboxError::NotCloned { wait, .. } => Self::unavailable(message).retry_after(wait),
            SandboxError::Seal(error) => Self::internal(&error),
            SandboxError::Store(error) => error.into(),
        }
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        match error {
            VaultError::Invalid(_) => Self::invalid(message),
            VaultError::Exists | VaultError::Sealed(SealError::Closed) => {
                Self::new(ErrorCode::InvalidState, message)
            }
            VaultError::NotFound { name } => Self::not_found("secret", &name),
            VaultError::Full { current } => {
                Self::too_many("secrets", current, MAX_SECRETS, message)
            }
            VaultError::Sealed(error) => Self::internal(&error),
            VaultError::Store(error) => error.into(),
        }
    }
}

impl From<TurnError> for ApiError {
    fn from(error: TurnError) -> Self {
        let message = error.to_string();
        match error {
            TurnError::Invalid(_) => Self::invalid(message),
            TurnError::NotAvailable(problem) => Self::not_available(problem),
            TurnError::Busy { turn_id } => Self::new(ErrorCode::InvalidState, message)
                .with("currentState", "running")
                .with("requiredState", "idle")
                .with("activeExecutionId", turn_id),
            TurnError::OtherSandbox | TurnError::OtherSession => {
                Self::new(ErrorCode::InvalidState, message)
            }
            TurnError::NotFound { kind, id } => Self::not_found(kind, &id),
            TurnError::InvalidAnswer(problem) => {
                let error = Self::new(ErrorCode::InvalidInteractionAnswer, message);
                match problem.field {
                    Some(field) => error.with("field", field),
                    None => error,
                }
            }
            TurnError::NobodyWaits => {
                Self::new(ErrorCode::NotFound, message).with("resourceType", "interaction")
            }
            TurnError::AnsweredOtherwise => {
                Self::new(ErrorCode::InvalidState, message).with("currentState", "answered")
            }
            TurnError::Sidecar(error) => error.into(),
            TurnError::ShuttingDown => Self::unavailable(message),
            TurnError::Sandbox(error) => error.into(),
            TurnError::Store(error) => error.into(),
            TurnError::Log(LogError::SessionGone) => Self::not_found("session", ""),
            TurnError::Log(LogError::Closed) => Self::unavailable("the event log is closed"),
            TurnError::Log(LogError::Store(error)) => Self::not_stored(&error),
        }
    }
}

impl From<SidecarError> for ApiError {
    fn from(error: SidecarError) -> Self {
        match error {
            SidecarError::Refused { status, code, message, about, fields } => {
                // The sandbox may say no in words of its own, but only with codes that fit.
                let code = match status {
                    404 => ErrorCode::NotFound,
                    403 => ErrorCode::Forbidden,
                    408 => ErrorCode::Timeout,
                    400 if code == ErrorCode::InvalidInput.as_str() => ErrorCode::InvalidInput,
                    409 if code == ErrorCode::TerminalClosed.as_str() => ErrorCode::TerminalClosed,
                    409 => ErrorCode::InvalidState,
                    413 => ErrorCode::TooLarge,
                    415 => ErrorCode::UnsupportedMediaType,
                    429 => ErrorCode::QuotaExceeded,
                    500.. => ErrorCode::of_status(status).unwrap_or(ErrorCode::Server),
                    _ => ErrorCode::Validation,
                };
                let error = Self::new(code, message.chars().take(500).collect::<String>())
                    .about_fields(fields);
                about.into_iter().fold(error, |error, (name, value)| error.with(name, value))
            }
            SidecarError::Unreachable(_) | SidecarError::Nonsense(_) => {
                tracing::warn!(%error, "a sandbox did not answer as it should");
                Self::unavailable("The sandbox does not answer.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_there_is_too_much_of_is_named_and_counted() {
        let said = |error: ApiError| {
            ["quotaType", "current", "limit"].map(|field| error.body.extra[field].clone())
        };
        let full = VaultError::Full { current: MAX_SECRETS };
        assert_eq!(said(full.into()), [json!("secrets"), json!(MAX_SECRETS), json!(MAX_SECRETS)]);
        let existing = SandboxError::TooMany { current: 3, limit: 2 };
        assert_eq!(said(existing.into()), [json!("sandboxes"), json!(3), json!(2)]);
        let running = SandboxError::NoRoom(1);
        assert_eq!(said(running.into()), [json!("concurrent_sandboxes"), json!(1), json!(1)]);
        let ports = SandboxError::TooManyPorts(16);
        assert_eq!(said(ports.into()), [json!("ports"), json!(16), json!(16)]);
    }

    #[test]
    fn what_is_not_there_in_a_sandbox_and_what_it_can_not_do_is_named() {
        let told = |name: &str, value: &str| {
            let mut body = ErrorBody::new(ErrorCode::NotFound, "no");
            body.extra.insert(name.to_owned(), value.into());
            ApiError::from(SidecarError::refused(404, body)).body.extra
        };
        assert_eq!(told("resourceType", "file")["resourceType"], "file");
        assert_eq!(told("reason", &"x".repeat(5000))["reason"].as_str().map(str::len), Some(500));
        assert!(told("quotaType", "run").is_empty(), "it is not the sandbox's to say");
    }

    #[test]
    fn what_a_sandbox_says_of_single_fields_is_bounded() {
        let mut body = ErrorBody::new(ErrorCode::Validation, "no");
        let mut fields = Extra::new();
        for n in 0..100 {
            fields.insert(format!("{n}{}", "x".repeat(5000)), "y".repeat(5000).into());
        }
        fields.insert("!".to_owned(), json!({"deep": 1}));
        body.extra.insert("fields".to_owned(), fields.into());
        let told = ApiError::from(SidecarError::refused(400, body)).body.extra;
        let told = told["fields"].as_object().unwrap();
        assert!((1..=16).contains(&told.len()) && !told.contains_key("!"), "{}", told.len());
        let short = |text: &str| text.len() <= 500;
        assert!(told.iter().all(|(name, words)| short(name) && words.as_str().is_some_and(short)));
    }

    #[test]
    fn what_a_sandbox_could_not_do_is_not_the_callers_fault() {
        let code = |status| {
            let (code, message) = (String::new(), "no".to_owned());
            let (about, fields) = (Vec::new(), None);
            let refused = SidecarError::Refused { status, code, message, about, fields };
            ApiError::from(refused).code.status()
        };
        let cases = [(400, 400), (418, 400), (404, 404), (500, 500), (501, 501), (503, 503)];
        for (theirs, ours) in cases {
            assert_eq!(code(theirs), ours, "{theirs}");
        }
        assert_eq!(code(507), 500);
    }
}
