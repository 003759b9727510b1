//! The error envelope: every failure of the REST API has a status, a stable code and words.

use std::time::Duration;

use axum::{
    extract::rejection::{PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sandbox_sdk::types::{ErrorBody, ErrorCode, TurnError as Problem};
use serde_json::Value;

use crate::{
    log::LogError, sandboxes::SandboxError, sealed::SealError, sidecar::SidecarError,
    store::StoreError, turns::TurnError, vault::VaultError,
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

    pub(crate) fn not_found(kind: &str, id: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{kind} not found"))
            .with("resourceType", kind)
            .with("resourceId", id.chars().take(200).collect::<String>())
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

/// What is wrong with a part of a request, without the extractor's own words for it.
pub(crate) fn not_valid(what: &str, rejection: &dyn std::error::Error) -> String {
    let cause = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
    format!("The {what} is not valid: {cause}.")
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::invalid("The path could not be read.")
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(not_valid("query", &rejection))
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
            SandboxError::NotImplemented { feature, reason } => {
                Self::not_implemented(feature, &reason)
            }
            SandboxError::DriverNotAllowed | SandboxError::NetworkNotAllowed => {
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
            SandboxError::Quota { what, limit } => Self::new(ErrorCode::QuotaExceeded, message)
                .with("quotaType", what)
                .with("limit", limit),
            SandboxError::TooManyPorts(limit) => Self::new(ErrorCode::QuotaExceeded, message)
                .with("quotaType", "ports")
                .with("limit", limit),
            SandboxError::Start(_) | SandboxError::ShuttingDown => Self::unavailable(message),
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
            VaultError::Full => {
                Self::new(ErrorCode::QuotaExceeded, message).with("quotaType", "secrets")
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
            SidecarError::Refused { status, code, message } => {
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
                Self::new(code, message.chars().take(500).collect::<String>())
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
    use super::*;

    #[test]
    fn what_there_is_too_much_of_is_named() {
        let quota = |error: ApiError| error.body.extra["quotaType"].as_str().map(str::to_owned);
        assert_eq!(quota(VaultError::Full.into()).as_deref(), Some("secrets"));
        let running = SandboxError::Quota { what: "run", limit: 1 };
        assert_eq!(quota(running.into()).as_deref(), Some("run"));
    }

    #[test]
    fn what_a_sandbox_could_not_do_is_not_the_callers_fault() {
        let code = |status| {
            let (code, message) = (String::new(), "no".to_owned());
            ApiError::from(SidecarError::Refused { status, code, message }).code.status()
        };
        let cases = [(400, 400), (418, 400), (404, 404), (500, 500), (501, 501), (503, 503)];
        for (theirs, ours) in cases {
            assert_eq!(code(theirs), ours, "{theirs}");
        }
        assert_eq!(code(507), 500);
    }
}
