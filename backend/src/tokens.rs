//! What a browser needs to watch a session: where, with which token, from which event on.

use std::fmt;

/// Opens one session's stream for reading, for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamGrant {
    /// WebSocket address of the session gateway.
    pub url: String,
    /// Read token, scoped to this one session. A secret: never written to HTML or a log.
    pub token: String,
    /// Seconds since the Unix epoch.
    pub expires_at: i64,
    /// The agent session; its channel is `session:<id>`.
    pub session_id: String,
    /// Events up to this number are in the history already.
    pub since: u64,
}

impl fmt::Debug for StreamGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGrant")
            .field("url", &self.url)
            .field("expires_at", &self.expires_at)
            .field("session_id", &self.session_id)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
