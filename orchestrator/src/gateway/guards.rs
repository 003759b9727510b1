//! What ends a connection from outside: the token's end, the session's end, a restart.

use std::{future, sync::OnceLock, time::Duration};

use sandbox_sdk::auth::ReadClaims;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{authority::Anchor, frames::Ending};
use crate::{
    clock::now_ms,
    config::Tuning,
    log::{Head, Life, SessionLog},
};

/// The wall clock may be set while a token runs; it is asked again at least this often.
const CLOCK_CHECK: Duration = Duration::from_secs(20);

/// Watches over one connection. It can wait while the connection does something else.
#[derive(Debug)]
pub(super) struct Guards {
    claims: ReadClaims,
    /// Of one session or one project; `None` where the token is for several.
    anchor: Option<Anchor>,
    /// Until then the session may stay unknown.
    grace_ends: Instant,
    /// How long its viewer may take to be told the last of a deleted session.
    farewell: Duration,
    /// When the session was seen to be deleted.
    deleted_at: OnceLock<Instant>,
    closing: CancellationToken,
}

impl Guards {
    pub(super) fn new(
        claims: ReadClaims,
        anchor: Option<Anchor>,
        tuning: &Tuning,
        closing: CancellationToken,
    ) -> Self {
        Self {
            claims,
            anchor,
            grace_ends: Instant::now() + tuning.unknown_session_grace,
            farewell: tuning.farewell,
            deleted_at: OnceLock::new(),
            closing,
        }
    }

    pub(super) fn claims(&self) -> &ReadClaims {
        &self.claims
    }

    /// Another token of the same authority takes this one's place.
    pub(super) fn renew(&mut self, claims: ReadClaims) {
        self.claims = claims;
    }

    /// Time until the token ends.
    pub(super) fn remaining(&self) -> Duration {
        let ms = self.claims.expires_at.saturating_mul(1000).saturating_sub(now_ms());
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// Waits until the session is deleted. Its viewers may still be told how it ended.
    pub(super) async fn deleted(&self) -> Ending {
        let Some(anchor) = &self.anchor else { return future::pending().await };
        let Some(runtime) = &anchor.runtime else { return end_of(&anchor.log).await };
        tokio::select! {
            ending = end_of(&anchor.log) => ending,
            ending = end_of(runtime) => ending,
        }
    }

    /// Waits until the session is deleted and its viewers had their time.
    async fn overdue(&self) -> Ending {
        let ending = self.deleted().await;
        sleep_until(*self.deleted_at.get_or_init(Instant::now) + self.farewell).await;
        ending
    }

    /// Waits until the connection has to end, whatever its viewer has seen.
    pub(super) async fn breached(&self) -> Ending {
        let Some(anchor) = &self.anchor else { return self.ended().await };
        let runtime = async {
            match &anchor.runtime {
                // The other session may be somebody else's by now.
                Some(runtime) => self.breach_of(runtime, None).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ending = self.breach_of(&anchor.log, Some(anchor.moves)) => ending,
            ending = runtime => ending,
            ending = self.overdue() => ending,
        }
    }

    /// `moves`: with more of them than these the connection has to end, too.
    async fn breach_of(&self, log: &SessionLog, moves: Option<u64>) -> Ending {
        let mut head = log.watch();
        head.mark_changed();
        loop {
            let known = {
                let now = head.borrow_and_update();
                let known = match &now.life {
                    Life::Known { user: Some(user), .. } if **user != *self.claims.user_id => {
                        return Ending::forbidden("the session belongs to somebody else");
                    }
                    Life::Known { .. } | Life::Deleted => true,
                    Life::Unknown => false,
                };
                if is_moved(&now, moves) {
                    return Ending::moved();
                }
                known
            };
            tokio::select! {
                () = self.closing.cancelled() => return Ending::draining(),
                () = sleep(self.remaining().min(CLOCK_CHECK)) => {
                    if self.remaining().is_zero() {
                        return Ending::expired();
                    }
                }
                () = sleep_until(self.grace_ends), if !known => return Ending::unknown_session(),
                // Every event moves the head; only a new life matters here.
                changed = head.wait_for(|head| {
                    is_known(head) != known || is_over(head, self) || is_moved(head, moves)
                }) => {
                    if changed.is_err() {
                        return Ending::internal();
                    }
                }
            }
        }
    }

    /// Waits until the token ends, or everything does.
    async fn ended(&self) -> Ending {
        loop {
            tokio::select! {
                () = self.closing.cancelled() => return Ending::draining(),
                () = sleep(self.remaining().min(CLOCK_CHECK)) => {
                    if self.remaining().is_zero() {
                        return Ending::expired();
                    }
                }
            }
        }
    }
}

async fn end_of(log: &SessionLog) -> Ending {
    let mut head = log.watch();
    match head.wait_for(|head| head.life == Life::Deleted).await {
        Ok(_) => Ending::deleted(),
        Err(_) => Ending::internal(),
    }
}

fn is_known(head: &Head) -> bool {
    head.life != Life::Unknown
}

fn is_moved(head: &Head, moves: Option<u64>) -> bool {
    moves.is_some_and(|moves| head.moves != moves)
}

fn is_over(head: &Head, guards: &Guards) -> bool {
    match &head.life {
        Life::Known { user: Some(user), .. } => **user != *guards.claims.user_id,
        Life::Known { .. } | Life::Unknown | Life::Deleted => false,
    }
}
