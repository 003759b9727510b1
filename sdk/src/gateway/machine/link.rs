//! The connection: opening, losing, coming back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    ABNORMAL_CLOSE, BACKOFF, GatewayState, MAX_ATTEMPTS, Machine, Notice, OPEN_TIMEOUT_MS,
    PING_INTERVAL_MS, PROBE_MS, STABLE_MS, STALLED_CLOSE, channel::Channel, is_final_close,
    model::Effect,
};
use crate::types::{ClientFrame, SUBPROTOCOL, close_code};

/// What there is of a connection. Times are on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// None is wanted.
    Off,
    /// The next attempt is due then.
    Waiting { until: u64 },
    /// The next attempt waits for a token.
    AwaitingToken,
    /// A socket is being opened; the gateway has not welcomed us yet.
    Opening { until: u64 },
    Live {
        ping_at: u64,
        /// Silence until then means that the other side is gone.
        silent_until: u64,
        stable_at: u64,
    },
}

impl Link {
    pub(super) fn deadline(self) -> Option<u64> {
        match self {
            Self::Off | Self::AwaitingToken => None,
            Self::Waiting { until } | Self::Opening { until } => Some(until),
            Self::Live { ping_at, silent_until, .. } => Some(ping_at.min(silent_until)),
        }
    }
}

impl Machine {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.link, Link::Live { .. })
    }

    pub(super) fn connect(&mut self) {
        if matches!(self.link, Link::Off | Link::Waiting { .. }) {
            self.attempts = 0;
            self.refused = false;
            self.open();
        }
    }

    pub(super) fn disconnect(&mut self) {
        if matches!(self.link, Link::Opening { .. } | Link::Live { .. }) {
            self.effects.push(Effect::Close { code: close_code::DONE, reason: "disconnect" });
        }
        self.persist();
        if self.link != Link::Off {
            self.link = Link::Off;
            self.notify(Notice::Disconnected {
                code: close_code::DONE,
                reason: "disconnect".to_owned(),
            });
        }
        self.set_state(GatewayState::Disconnected);
    }

    /// Tries at once what would be tried later, and asks a silent connection whether it still lives.
    pub(super) fn nudge(&mut self) {
        let now = self.now.mono_ms;
        match &mut self.link {
            Link::Waiting { .. } => self.open(),
            Link::Off if self.state == GatewayState::Failed && !self.refused => self.connect(),
            Link::Live { ping_at, silent_until, .. } => {
                *ping_at = now;
                *silent_until = (*silent_until).min(now + PROBE_MS);
            }
            _ => {}
        }
    }

    pub(super) fn open(&mut self) {
        if !self.token_is_good() {
            if self.settings.can_refresh {
                self.link = Link::AwaitingToken;
                self.set_state(GatewayState::Connecting);
            } else {
                self.notify(Notice::TokenExpired);
                self.give_up();
            }
            return;
        }
        self.link = Link::Opening { until: self.now.mono_ms + OPEN_TIMEOUT_MS };
        self.set_state(GatewayState::Connecting);
        self.channels.values_mut().for_each(Channel::opening);
        let bearer = format!("bearer.{}", URL_SAFE_NO_PAD.encode(&self.token.value));
        let protocols = [SUBPROTOCOL.to_owned(), bearer];
        self.effects.push(Effect::Open { url: self.url(), protocols });
    }

    /// The gateway's URL with what we want to see. The cursor travels with it, so that the replay begins
    /// without another round trip.
    fn url(&self) -> String {
        let mut url = self.settings.url.clone();
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("sessionId=");
        push_encoded(&mut url, &self.settings.session_id);
        url.push_str("&channels=");
        for (index, name) in self.channels.keys().enumerate() {
            if index > 0 {
                url.push(',');
            }
            push_encoded(&mut url, name);
        }
        if let Some(since) = self.channels.values().filter_map(Channel::at).min() {
            url.push_str("&since=");
            url.push_str(&since.to_string());
        }
        url
    }

    /// The gateway has welcomed us.
    pub(super) fn went_live(&mut self) {
        let now = self.now.mono_ms;
        self.link = Link::Live {
            ping_at: now + PING_INTERVAL_MS,
            silent_until: now + 2 * PING_INTERVAL_MS,
            stable_at: now + STABLE_MS,
        };
        self.stats.connects += 1;
        self.retry_hint_ms = None;
        self.set_state(GatewayState::Connected);
    }

    /// Something came: the other side is there.
    pub(super) fn heard(&mut self) {
        if let Link::Live { silent_until, .. } = &mut self.link {
            *silent_until = self.now.mono_ms + 2 * PING_INTERVAL_MS;
        }
    }

    pub(super) fn closed(&mut self, code: u16, reason: String) {
        if !matches!(self.link, Link::Opening { .. } | Link::Live { .. }) {
            return;
        }
        if let Link::Live { stable_at, .. } = self.link
            && stable_at <= self.now.mono_ms
        {
            self.attempts = 0;
        }
        self.persist();
        self.notify(Notice::Disconnected { code, reason });
        self.link = Link::Off;
        match code {
            close_code::DONE => self.set_state(GatewayState::Disconnected),
            _ if is_final_close(code) => {
                self.refused = true;
                self.give_up();
            }
            close_code::TOKEN => self.token_was_refused(),
            _ => self.retry_later(),
        }
    }

    fn token_was_refused(&mut self) {
        self.token.refused = true;
        self.notify(Notice::TokenExpired);
        if self.settings.can_refresh && self.settings.auto_reconnect && self.attempts == 0 {
            // The usual end of a token's life: back at once with another.
            self.attempts = 1;
            self.open();
        } else if self.settings.can_refresh {
            self.retry_later();
        } else {
            self.give_up();
        }
    }

    /// Closes a socket that is of no more use, and comes back.
    pub(super) fn drop_socket(&mut self, code: u16, reason: &'static str) {
        self.effects.push(Effect::Close { code, reason });
        self.closed(ABNORMAL_CLOSE, reason.to_owned());
    }

    pub(super) fn retry_later(&mut self) {
        if !self.settings.auto_reconnect {
            self.link = Link::Off;
            self.set_state(GatewayState::Disconnected);
            return;
        }
        if self.attempts >= MAX_ATTEMPTS {
            self.error("the gateway cannot be reached", "RECONNECT_FAILED");
            self.give_up();
            return;
        }
        self.attempts += 1;
        let pause = BACKOFF.pause(self.attempts, &mut self.jitter);
        let pause = self.retry_hint_ms.take().unwrap_or(pause);
        self.link = Link::Waiting { until: self.now.mono_ms + pause };
        self.set_state(GatewayState::Reconnecting { attempt: self.attempts, in_ms: pause });
    }

    fn give_up(&mut self) {
        self.link = Link::Off;
        self.set_state(GatewayState::Failed);
    }

    pub(super) fn check_link(&mut self) {
        let now = self.now.mono_ms;
        match self.link {
            Link::Waiting { until } if until <= now => self.open(),
            Link::Opening { until } if until <= now => {
                self.drop_socket(STALLED_CLOSE, "no welcome");
            }
            Link::Live { silent_until, .. } if silent_until <= now => {
                self.drop_socket(STALLED_CLOSE, "silent");
            }
            Link::Live { ping_at, silent_until, stable_at } if ping_at <= now => {
                let ping_at = now + PING_INTERVAL_MS;
                self.link = Link::Live { ping_at, silent_until, stable_at };
                self.send(&ClientFrame::Ping { timestamp: self.now.unix_ms });
            }
            _ => {}
        }
    }
}

/// Percent-encodes what does not stand for itself in a query.
fn push_encoded(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:*".contains(&byte) {
            url.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            url.push('%');
            url.push(char::from(DIGITS[usize::from(byte >> 4)]));
            url.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}
