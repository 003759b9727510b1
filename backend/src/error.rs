//! What can go wrong, in the terms a caller can act on.

use crate::Credits;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call was refused or failed. The texts are written for the person at the screen, except for
/// `Internal`, which is for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No valid web session.
    #[error("Please sign in.")]
    Unauthenticated,
    /// No such thing, or somebody else's: the two look the same.
    #[error("Not found.")]
    NotFound,
    /// The account can't pay for what was asked. Nothing was stored.
    #[error("Not enough credits: {available} left, {needed} needed.")]
    InsufficientCredits {
        /// Free to spend.
        available: Credits,
        /// The least that would have been enough.
        needed: Credits,
    },
    /// A value of the request is not acceptable.
    #[error("{message}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The request does not fit the present state.
    #[error("{message}")]
    Conflict {
        /// What stands in the way.
        message: String,
    },
    /// Nobody waits for this answer any more: it was given, withdrawn, or came too late.
    #[error("The agent no longer waits for this answer.")]
    NotWaiting,
    /// Something this depends on does not answer; trying again later may help.
    #[error("{message}")]
    Unavailable {
        /// What is missing.
        message: String,
    },
    /// Too much in too short a time.
    #[error("Too many requests. Try again in {retry_after_s} s.")]
    RateLimited {
        /// Seconds to wait, at least 1.
        retry_after_s: u64,
    },
    /// Our own failure: `doing` says at what, the source says why.
    #[error("{doing}")]
    Internal {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: Source,
    },
}

impl Error {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into() }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into() }
    }

    pub(crate) fn internal(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Internal { doing: doing.into(), source: source.into() }
    }

    /// Stored data that contradicts itself.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::internal("broken invariant", what.into())
    }
}
