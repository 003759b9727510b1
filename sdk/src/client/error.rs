//! What can go wrong in a call, and what the caller may do about it.

use std::time::Duration;

use crate::types::{Extra, SandboxStatus};

/// Why a call failed. No variant shows a key or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request did not get through, or its answer did not.
    #[error("the service cannot be reached")]
    Transport(#[source] reqwest::Error),
    /// The service answered, and refused.
    #[error("{message} ({code}, HTTP {status}{})", request_suffix(request_id.as_deref()))]
    Api {
        status: u16,
        /// Stable code of the service; by the status where the service gave none.
        code: String,
        message: String,
        /// Names the request in the service's logs.
        request_id: Option<String>,
        /// When the service asks to be tried again.
        retry_after: Option<Duration>,
        /// Further fields of the answer: `resourceType`, `currentState`, `reprovisionRequired`, …
        details: Box<Extra>,
    },
    /// The service answered with something this version cannot read.
    #[error("the answer cannot be read: {context}")]
    Decode {
        context: &'static str,
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The call was never sent: an argument cannot be right.
    #[error("{0}")]
    InvalidArgument(String),
    /// The call took longer than it may.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The sandbox that was waited for will not come to the wanted state.
    #[error("sandbox {id} is {}{}", status.as_str(), reason_suffix(reason.as_deref()))]
    SandboxLost { id: String, status: SandboxStatus, reason: Option<String> },
}

fn request_suffix(id: Option<&str>) -> String {
    id.map_or_else(String::new, |id| format!(", request {id}"))
}

fn reason_suffix(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

impl Error {
    /// URLs stay out: a sidecar's may hold more than a host and a path.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }

    /// HTTP status of the answer, when there was one; 502 for a 404 that is not the service's own.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The service's stable code, when it answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later. It does not say that repeating is harmless: only the
    /// caller knows whether the first one may have had an effect.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => !error.is_builder(),
            Self::Timeout(_) => true,
            Self::Api { status, .. } => {
                matches!(*status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// How long the service asks to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the service says that the thing that was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the orchestrator says that the sandbox is gone and another must be made.
    pub fn reprovision_required(&self) -> bool {
        match self {
            Self::Api { details, .. } => {
                details.get("reprovisionRequired").and_then(serde_json::Value::as_bool)
                    == Some(true)
            }
            _ => false,
        }
    }
}
