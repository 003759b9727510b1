//! What ends a connection from outside: the token's end, the session's end, a restart.

use std::{sync::Arc, time::Duration};

use sandbox_sdk::auth::ReadClaims;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::frames::Ending;
use crate::{
    clock::now_ms,
    log::{Head, Life, SessionLog},
};

/// The wall clock may be set while a token runs; it is asked again at least this often.
const CLOCK_CHECK: Duration = Duration::from_secs(20);

/// Watches over one connection. It can wait while the connection does something else.
#[derive(Debug)]
pub(super) struct Guards {
    claims: ReadClaims,
    /// Of one session or one project; `None` where the token is for several.
    log: Option<Arc<SessionLog>>,
    /// Until then the session may stay unknown.
    grace_ends: Instant,
    closing: CancellationToken,
}

impl Guards {
    pub(super) fn new(
        claims: ReadClaims,
        log: Option<Arc<SessionLog>>,
        grace: Duration,
        closing: CancellationToken,
    ) -> Self {
        Self { claims, log, grace_ends: Instant::now() + grace, closing }
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

    /// Waits until the connection has to end.
    pub(super) async fn breached(&self) -> Ending {
        let Some(log) = &self.log else { return self.ended().await };
        let mut head = log.watch();
        head.mark_changed();
        loop {
            let known = match &head.borrow_and_update().life {
                Life::Deleted => return Ending::deleted(),
                Life::Known { user: Some(user), .. } if **user != *self.claims.user_id => {
                    return Ending::forbidden("the session belongs to somebody else");
                }
                Life::Known { .. } => true,
                Life::Unknown => false,
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
                changed = head.wait_for(|head| is_known(head) != known || is_over(head, self)) => {
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

fn is_known(head: &Head) -> bool {
    head.life != Life::Unknown
}

fn is_over(head: &Head, guards: &Guards) -> bool {
    match &head.life {
        Life::Deleted => true,
        Life::Known { user: Some(user), .. } => **user != *guards.claims.user_id,
        Life::Known { .. } | Life::Unknown => false,
    }
}
