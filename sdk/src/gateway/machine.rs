//! The gateway client without sockets and without a clock: what comes goes in, what to do comes out.
//!
//! A transport carries out the [effects](Effect) in order and feeds back what happens. After every input
//! it asks for the [deadline](Machine::deadline) and sends a [`Input::Tick`] when that has come; a tick
//! too early does no harm. After `Open` or `Close` nothing of the former socket may be fed in any more.

mod channel;
mod frames;
mod link;
mod model;
mod token;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    backoff::{Backoff, Jitter},
    types::{ClientFrame, Extra, close_code},
};
use channel::Channel;
use link::Link;
pub use model::{
    Backpressure, Effect, GatewayState, GatewayStats, Input, Notice, Now, Reset, Settings,
};
use token::Token;

/// Pause between two pings, and half of how long silence is borne.
const PING_INTERVAL_MS: u64 = 30_000;
/// How long an answer may take after the application said that the network may have changed.
const PROBE_MS: u64 = 5_000;
/// A connection that lived this long was good: failures are counted anew after it.
const STABLE_MS: u64 = 5_000;
/// Longest time from opening a socket to the gateway's welcome.
const OPEN_TIMEOUT_MS: u64 = 15_000;
const MAX_ATTEMPTS: u32 = 10;
const BACKOFF: Backoff = Backoff { first_ms: 1_000.0, factor: 1.5, cap_ms: 30_000.0, jitter: 0.2 };
/// Longest pause a gateway that goes away may ask for.
const MAX_RETRY_HINT_MS: u64 = 30_000;
/// How long to wait for a replay before asking again, and how often.
const REPLAY_PATIENCE_MS: u64 = 5_000;
const MAX_REPLAY_TRIES: u32 = 5;
/// Writing the cursor down for every event would be slow; a second's events come twice at worst.
const PERSIST_EVERY_MS: u64 = 1_000;
/// What the transport reports when a connection broke without a word.
const ABNORMAL_CLOSE: u16 = 1006;
/// What we close with when the gateway fell silent or cannot fill a gap.
const STALLED_CLOSE: u16 = 4000;

/// The state of one gateway client.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    now: Now,
    link: Link,
    token: Token,
    channels: BTreeMap<String, Channel>,
    epoch: Option<String>,
    /// Connections that failed since the last good one.
    attempts: u32,
    retry_hint_ms: Option<u64>,
    /// No other try can help: the gateway refused us as such.
    refused: bool,
    persist_at: Option<u64>,
    state: GatewayState,
    stats: GatewayStats,
    jitter: Jitter,
    effects: Vec<Effect>,
}

impl Machine {
    /// A machine that does nothing until it is told to connect.
    pub fn new(settings: Settings, now: Now) -> Self {
        let mut names = settings.channels.clone();
        if names.is_empty() {
            names.push(format!("session:{}", settings.session_id));
        }
        // A cursor that the application names wins: it knows what it has shown.
        let stored = settings.stored.as_deref().filter(|_| settings.since.is_none());
        let (epoch, seqs) = stored.and_then(read_cursor).unwrap_or_default();
        let mut channels = BTreeMap::new();
        for name in names {
            let at = settings.since.or_else(|| seqs.get(&name)?.as_u64());
            channels.insert(name, Channel::new(at));
        }
        let token = Token::new(settings.token.clone(), settings.expires_at, now);
        Self {
            jitter: Jitter::new(settings.seed),
            settings,
            now,
            link: Link::Off,
            token,
            channels,
            epoch,
            attempts: 0,
            retry_hint_ms: None,
            refused: false,
            persist_at: None,
            state: GatewayState::Disconnected,
            stats: GatewayStats::default(),
            effects: Vec::new(),
        }
    }

    /// Takes one input and gives what is to be done, in order.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Connect => self.connect(),
            Input::Disconnect => self.disconnect(),
            Input::Nudge => self.nudge(),
            Input::Replay { since } => self.replay(since),
            Input::ClearReplay => self.clear_replay(),
            Input::UpdateToken { token, expires_at } => self.take_token(token, expires_at),
            Input::Refreshed(result) => self.refreshed(result),
            Input::Frame(text) => self.frame(text),
            Input::Closed { code, reason } => self.closed(code, reason),
            Input::Tick => {}
        }
        self.check_link();
        self.check_token();
        self.check_replays();
        self.check_persistence();
        std::mem::take(&mut self.effects)
    }

    /// When the next [`Input::Tick`] is due, on the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        let replay =
            self.is_live().then(|| self.channels.values().filter_map(Channel::deadline).min());
        let candidates =
            [self.link.deadline(), self.token_deadline(), replay.flatten(), self.persist_at];
        candidates.into_iter().flatten().min()
    }

    /// Where the connection stands.
    pub fn state(&self) -> GatewayState {
        self.state
    }

    /// Counters for display and tests.
    pub fn stats(&self) -> GatewayStats {
        let own = self.channels.values().filter_map(Channel::at).max();
        let held = self.channels.values().map(Channel::held).sum();
        GatewayStats { last_seq: own.unwrap_or(0), held, ..self.stats }
    }

    fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notify(notice));
    }

    fn set_state(&mut self, state: GatewayState) {
        if self.state != state {
            self.state = state;
            self.notify(Notice::State(state));
        }
    }

    fn send(&mut self, frame: &ClientFrame) {
        // A frame of ours always serialises; should it not, the gateway's answer stays out and the
        // liveness check ends the connection.
        if let Ok(text) = serde_json::to_string(frame) {
            self.effects.push(Effect::Send(text));
        }
    }

    fn error(&mut self, message: impl Into<String>, code: &str) {
        self.notify(Notice::Error { message: message.into(), code: Some(code.to_owned()) });
    }

    fn replay(&mut self, since: u64) {
        for channel in self.channels.values_mut() {
            channel.rewind(since);
        }
        if self.is_live() {
            let names: Vec<String> = self.channels.keys().cloned().collect();
            for name in names {
                self.ask_replay(&name, Some(since));
            }
        }
    }

    fn clear_replay(&mut self) {
        for channel in self.channels.values_mut() {
            *channel = Channel::new(None);
        }
        self.epoch = self.epoch.take().filter(|_| self.is_live());
        self.persist_at = None;
        self.effects.push(Effect::Forget);
    }

    /// Asks for what a channel lacks, or for what came after `since`.
    fn ask_replay(&mut self, name: &str, since: Option<u64>) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        let Some(since) = since.or_else(|| channel.lacks_after()) else { return };
        channel.asked(self.now.mono_ms);
        self.stats.replays += 1;
        self.send(&ClientFrame::Replay { since, channel: Some(name.to_owned()) });
    }

    /// Every gap is asked for at once; again when the answer stays out; in the end anew from scratch.
    fn check_replays(&mut self) {
        if !self.is_live() {
            return;
        }
        let now = self.now.mono_ms;
        let names: Vec<String> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.wants_replay(now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let tries = self.channels.get(&name).map_or(0, Channel::tries);
            if tries >= MAX_REPLAY_TRIES {
                self.error("a gap in the events stays open", "REPLAY_FAILED");
                self.drop_socket(STALLED_CLOSE, "replay failed");
                return;
            }
            self.ask_replay(&name, None);
        }
    }

    fn note_progress(&mut self) {
        if self.settings.persist && self.persist_at.is_none() {
            self.persist_at = Some(self.now.mono_ms + PERSIST_EVERY_MS);
        }
    }

    fn check_persistence(&mut self) {
        if self.persist_at.is_some_and(|at| at <= self.now.mono_ms) {
            self.persist();
        }
    }

    fn persist(&mut self) {
        if self.persist_at.take().is_none() {
            return;
        }
        let mut seqs = Extra::new();
        for (name, channel) in &self.channels {
            if let Some(at) = channel.at() {
                seqs.insert(name.clone(), at.into());
            }
        }
        let mut cursor = Extra::new();
        cursor.insert("seqs".to_owned(), seqs.into());
        cursor.insert("epoch".to_owned(), self.epoch.clone().into());
        self.effects.push(Effect::Persist(Value::Object(cursor).to_string()));
    }
}

/// The epoch and the sequence number of each channel, as they were persisted.
fn read_cursor(text: &str) -> Option<(Option<String>, Extra)> {
    let mut cursor: Extra = serde_json::from_slice(text.as_bytes()).ok()?;
    let epoch = cursor.get("epoch").and_then(Value::as_str).map(str::to_owned);
    match cursor.remove("seqs")? {
        Value::Object(seqs) => Some((epoch, seqs)),
        _ => None,
    }
}

/// Whether to come back after a close of this code.
fn is_final_close(code: u16) -> bool {
    use close_code::{DONE, FORBIDDEN, PROTOCOL, TOO_LARGE, UNKNOWN_SESSION};
    matches!(code, DONE | PROTOCOL | FORBIDDEN | UNKNOWN_SESSION | TOO_LARGE)
}
