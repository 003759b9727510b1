//! Why a sandbox stops.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why a sandbox does not run any more, as its events and the log have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// Somebody asked for it.
    Requested,
    /// Nobody used it for its idle time.
    Idle,
    /// Another one was to start, and all places were taken.
    MakeRoom,
    /// Its lifetime is over.
    Lifetime,
    Deleted,
    /// The orchestrator stops.
    Shutdown,
    /// The orchestrator ended without stopping it.
    Interrupted,
    /// It ended by itself; its `error` says how.
    Ended,
}

impl StopReason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Idle => "idle",
            Self::MakeRoom => "make_room",
            Self::Lifetime => "lifetime",
            Self::Deleted => "deleted",
            Self::Shutdown => "shutdown",
            Self::Interrupted => "interrupted",
            Self::Ended => "ended",
        }
    }
}

/// Asks the supervisor of a sandbox to end it. Who asks first gives the reason.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    asked: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl Stop {
    /// Asked without a reason by who cancels the token, which happens at shutdown.
    pub(super) fn new(asked: CancellationToken) -> Self {
        Self { asked, reason: Arc::default() }
    }

    pub(super) fn ask(&self, reason: StopReason) {
        self.reason.get_or_init(|| reason);
        self.asked.cancel();
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits until somebody asks.
    pub(super) async fn asked(&self) -> StopReason {
        self.asked.cancelled().await;
        self.reason.get().copied().unwrap_or(StopReason::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_first_gives_the_reason() {
        let stop = Stop::new(CancellationToken::new());
        assert!(!stop.is_asked());
        stop.ask(StopReason::Idle);
        stop.ask(StopReason::Deleted);
        assert!(stop.is_asked());
        assert_eq!(stop.asked().await, StopReason::Idle);
    }

    #[tokio::test]
    async fn a_stop_without_a_reason_is_a_shutdown() {
        let closing = CancellationToken::new();
        let stop = Stop::new(closing.child_token());
        closing.cancel();
        assert_eq!(stop.asked().await, StopReason::Shutdown);
    }
}
