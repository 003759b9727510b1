//! Where the events of a session are watched.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The right to watch one session, for a while. The token is a secret: it travels only in answers to
/// the browser's own calls, never in a rendered page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGrant {
    /// WebSocket address of the session gateway.
    pub url: String,
    pub token: String,
    /// Unix seconds.
    pub expires_at: i64,
    pub session_id: String,
    /// Sequence number after which unsettled events begin.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_grant_shows_no_token_when_debugged() {
        let grant = StreamGrant {
            url: "ws://127.0.0.1:1/session".into(),
            token: "top-secret".into(),
            expires_at: 1,
            session_id: "s".into(),
            since: 0,
        };
        assert!(!format!("{grant:?}").contains("top-secret"));
    }
}
