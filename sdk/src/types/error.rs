//! The error envelope of the REST API.

use serde::{Deserialize, Serialize};

use super::Extra;

/// `{success: false, error: {code, message}, message, code, …}`: every reader finds its field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// Always `false`.
    #[serde(default)]
    pub success: bool,
    /// Code and message, where newer readers look.
    pub error: ErrorDetail,
    /// What went wrong, for people.
    #[serde(default)]
    pub message: String,
    /// Stable, for programs.
    #[serde(default)]
    pub code: String,
    /// `resourceType`, `currentState`, `limit`, … by code.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The error itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorDetail {
    /// Stable, for programs.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
}

/// Stable codes and the HTTP status each is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is not what the route takes.
    Validation,
    /// It is no answer to what the agent asked.
    InvalidInteractionAnswer,
    /// There is nothing in it to type into a terminal.
    InvalidInput,
    /// No credentials, or wrong ones.
    Auth,
    /// The account has too little left.
    PaymentRequired,
    /// These credentials do not open this.
    Forbidden,
    /// There is no such thing, or not for this caller.
    NotFound,
    /// The route knows other methods only.
    MethodNotAllowed,
    /// It took too long.
    Timeout,
    /// Not possible while things stand as they do.
    InvalidState,
    /// The terminal's program has ended.
    TerminalClosed,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is of a type that is not read here.
    UnsupportedMediaType,
    /// The part of a file that is asked for is not there.
    RangeNotSatisfiable,
    /// Too many, or too often.
    QuotaExceeded,
    /// Our fault.
    Server,
    /// This service cannot do that.
    NotImplemented,
    /// Not now; later perhaps.
    Unavailable,
}

impl ErrorCode {
    const TABLE: &[(Self, u16, &str)] = &[
        (Self::Validation, 400, "VALIDATION_ERROR"),
        (Self::InvalidInteractionAnswer, 400, "INVALID_INTERACTION_ANSWER"),
        (Self::InvalidInput, 400, "INVALID_INPUT"),
        (Self::Auth, 401, "AUTH_ERROR"),
        (Self::PaymentRequired, 402, "PAYMENT_REQUIRED"),
        (Self::Forbidden, 403, "FORBIDDEN"),
        (Self::NotFound, 404, "NOT_FOUND"),
        (Self::MethodNotAllowed, 405, "METHOD_NOT_ALLOWED"),
        (Self::Timeout, 408, "TIMEOUT"),
        (Self::InvalidState, 409, "INVALID_STATE"),
        (Self::TerminalClosed, 409, "TERMINAL_CLOSED"),
        (Self::TooLarge, 413, "PAYLOAD_TOO_LARGE"),
        (Self::UnsupportedMediaType, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (Self::RangeNotSatisfiable, 416, "RANGE_NOT_SATISFIABLE"),
        (Self::QuotaExceeded, 429, "QUOTA_EXCEEDED"),
        (Self::Server, 500, "SERVER_ERROR"),
        (Self::NotImplemented, 501, "NOT_IMPLEMENTED"),
        (Self::Unavailable, 503, "UNAVAILABLE"),
    ];

    /// The HTTP status it is sent with.
    pub fn status(self) -> u16 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(500, |row| row.1)
    }

    /// The code an HTTP status is sent with, when there is one.
    pub fn of_status(status: u16) -> Option<Self> {
        let known = Self::TABLE.iter().find(|row| row.1 == status).map(|row| row.0);
        known.or_else(|| (status >= 500).then_some(Self::Server))
    }

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("SERVER_ERROR", |row| row.2)
    }
}

impl ErrorBody {
    /// An envelope with both spellings of code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            success: false,
            error: ErrorDetail { code: code.as_str().to_owned(), message: message.clone() },
            message,
            code: code.as_str().to_owned(),
            extra: Extra::new(),
        }
    }
}
