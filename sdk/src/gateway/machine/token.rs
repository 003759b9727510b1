//! The token: when to get another one, and what to do with it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Machine, Notice, Now, link::Link, model::Effect};
use crate::{
    gateway::RefreshedToken,
    types::{ClientFrame, Extra},
};

/// How long before its end a token is replaced; a short-lived one in the last quarter of its life.
const RENEW_BEFORE_MS: i64 = 60_000;
/// Pause after a refresh that failed.
const RETRY_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Idle,
    Running,
    /// Failed; not again before this moment (monotonic).
    RestUntil(u64),
}

pub(super) struct Token {
    pub(super) value: String,
    expires_ms: Option<i64>,
    renew_ms: Option<i64>,
    warned: bool,
    /// The gateway has refused this very token.
    pub(super) refused: bool,
    refresh: Refresh,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl Token {
    pub(super) fn new(value: String, expires_at: Option<i64>, now: Now) -> Self {
        let expires_ms = expires_at.or_else(|| expiry_in(&value)).map(|at| at.saturating_mul(1000));
        let mut token = Self {
            value,
            expires_ms: None,
            renew_ms: None,
            warned: false,
            refused: false,
            refresh: Refresh::Idle,
        };
        token.set_expiry(expires_ms, now);
        token
    }

    fn set_expiry(&mut self, expires_ms: Option<i64>, now: Now) {
        if self.expires_ms != expires_ms {
            self.expires_ms = expires_ms;
            self.renew_ms = expires_ms.map(|expires| {
                let left = (expires - now.unix_ms).max(0);
                expires - RENEW_BEFORE_MS.min(left / 4)
            });
        }
    }

    fn is_over(&self, now: Now) -> bool {
        self.refused || self.expires_ms.is_some_and(|at| at <= now.unix_ms)
    }
}

impl Machine {
    /// Whether the token may still open a connection; gets another one if it may not.
    pub(super) fn token_is_good(&mut self) -> bool {
        if !self.token.is_over(self.now) {
            return true;
        }
        if self.settings.can_refresh {
            self.request_refresh();
        }
        false
    }

    fn request_refresh(&mut self) {
        let resting = match self.token.refresh {
            Refresh::Idle => false,
            Refresh::Running => true,
            Refresh::RestUntil(until) => self.now.mono_ms < until && self.is_live(),
        };
        if self.settings.can_refresh && !resting {
            self.token.refresh = Refresh::Running;
            self.effects.push(Effect::RefreshToken);
        }
    }

    /// Another token takes the place of the current one, on an open connection without interrupting it.
    pub(super) fn take_token(&mut self, value: String, expires_at: Option<i64>) {
        let refresh = self.token.refresh;
        self.token = Token { refresh, ..Token::new(value, expires_at, self.now) };
        if self.is_live() {
            self.send(&ClientFrame::TokenUpdate { token: self.token.value.clone() });
        } else if matches!(self.link, Link::AwaitingToken) {
            self.open();
        }
    }

    pub(super) fn refreshed(&mut self, result: RefreshedToken) {
        let result = result.and_then(|(value, expires_at)| {
            if expires_at.saturating_mul(1000) > self.now.unix_ms {
                Ok((value, expires_at))
            } else {
                Err("the fresh token has ended already".to_owned())
            }
        });
        match result {
            Ok((value, expires_at)) => {
                self.token.refresh = Refresh::Idle;
                self.take_token(value, Some(expires_at));
            }
            Err(message) => {
                self.token.refresh = Refresh::RestUntil(self.now.mono_ms + RETRY_MS);
                self.error(message, "TOKEN_REFRESH_FAILED");
                if matches!(self.link, Link::AwaitingToken) {
                    self.retry_later();
                }
            }
        }
    }

    /// The gateway says when our token ends.
    pub(super) fn token_ends_at(&mut self, expires_at: i64) {
        self.token.set_expiry(Some(expires_at.saturating_mul(1000)), self.now);
    }

    /// Says once for each token that it will end, and gets another one.
    pub(super) fn token_expiring(&mut self) {
        if !self.token.warned {
            self.token.warned = true;
            let left_ms = self.token.expires_ms.map_or(0, |at| at - self.now.unix_ms);
            let seconds = u64::try_from(left_ms / 1000).unwrap_or(0);
            self.notify(Notice::TokenExpiring { seconds });
        }
        self.request_refresh();
    }

    pub(super) fn check_token(&mut self) {
        let due = self.token.renew_ms.is_some_and(|at| at <= self.now.unix_ms);
        if self.is_live() && due && (self.settings.can_refresh || !self.token.warned) {
            self.token_expiring();
        }
    }

    /// When something is to be done about the token, on the monotonic clock.
    pub(super) fn token_deadline(&self) -> Option<u64> {
        if !self.is_live() || (self.token.warned && !self.settings.can_refresh) {
            return None;
        }
        match self.token.refresh {
            Refresh::Running => None,
            Refresh::RestUntil(until) => Some(until),
            Refresh::Idle => {
                let left = u64::try_from(self.token.renew_ms? - self.now.unix_ms).unwrap_or(0);
                Some(self.now.mono_ms.saturating_add(left))
            }
        }
    }
}

/// When a token says that it ends. Nothing is verified: that is the gateway's part.
fn expiry_in(token: &str) -> Option<i64> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Extra>(&payload).ok()?.get("exp")?.as_i64()
}
