//! The one error that server functions answer with: variants a page can act on, nothing internal.

mod wire;

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::model::Credits;

/// Its `Display` is a sentence for the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(try_from = "wire::Wire", into = "wire::Wire")]
pub enum AppError {
    #[error("Your session has ended. Reload the page to start a new one.")]
    Unauthenticated,
    /// It does not exist, or belongs to somebody else: nobody can tell which.
    #[error("This was not found.")]
    NotFound,
    #[error("Not enough credits: this needs {needed}, you have {available}.")]
    InsufficientCredits { available: Credits, needed: Credits },
    #[error("{message}")]
    Invalid { field: String, message: String },
    #[error("{message}")]
    Conflict { message: String },
    #[error("Too many requests. Try again in {retry_after_s} s.")]
    RateLimited { retry_after_s: u64 },
    /// Nobody waits for this answer any more: it was given, withdrawn, or came too late.
    #[error("The agent no longer waits for this answer.")]
    NotWaiting,
    #[error("{message}")]
    Unavailable { message: String },
    /// Ours to repair. The request id finds the cause in the log.
    #[error("Something went wrong on our side (request {request_id}).")]
    Internal { request_id: String },
    /// The page is older than the server and called something that is gone.
    #[error("Skein was updated. Reload the page to go on.")]
    Outdated,
    /// The browser could not reach the server; the server itself never says this.
    #[error("The server can't be reached. Check your connection.")]
    Offline,
}

impl AppError {
    /// HTTP status that the error is sent with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::NotFound | Self::Outdated => 404,
            Self::InsufficientCredits { .. } => 402,
            Self::Invalid { .. } => 400,
            Self::Conflict { .. } => 409,
            Self::NotWaiting => 410,
            Self::RateLimited { .. } => 429,
            Self::Internal { .. } => 500,
            Self::Unavailable { .. } | Self::Offline => 503,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Offline | Self::Unavailable { .. } | Self::RateLimited { .. })
    }

    fn invalid_request() -> Self {
        Self::Invalid { field: "request".into(), message: "The request can't be read.".into() }
    }
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    /// The details of a framework error stay where they happened: they may quote the request.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => Self::Offline,
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => {
                answered(Self::invalid_request())
            }
            // On the server the request was not to be read; in the browser the answer was not, as
            // when a proxy answers in the server's place.
            ServerFnErrorErr::Deserialization(_) if cfg!(feature = "ssr") => {
                answered(Self::invalid_request())
            }
            ServerFnErrorErr::Deserialization(_) => Self::Unavailable {
                message: "The server gave an answer that can't be read. Try again.".into(),
            },
            _ => answered(Self::Internal { request_id: request_id() }),
        }
    }
}

/// An error and its causes in one line, for logs and terminals; never for a page.
#[cfg(feature = "ssr")]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors quote their cause themselves.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(feature = "ssr")]
use crate::api::request::{answered, request_id};

#[cfg(not(feature = "ssr"))]
fn answered(error: AppError) -> AppError {
    error
}

#[cfg(not(feature = "ssr"))]
fn request_id() -> String {
    "unknown".into()
}
