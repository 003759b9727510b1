//! What goes into the machine and what comes out of it.

use std::fmt;

use super::super::options::RefreshedToken;
use crate::types::{Connected, Event};

/// What a machine is made with; see [`GatewayOptions`](crate::gateway::GatewayOptions).
#[derive(Clone)]
pub struct Settings {
    /// The gateway, `ws(s)://…/session`.
    pub url: String,
    /// To begin with.
    pub token: String,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// The session to watch.
    pub session_id: String,
    /// Empty: the session's own channel.
    pub channels: Vec<String>,
    /// Where to begin; wins over what is stored.
    pub since: Option<u64>,
    /// Come back after a lost connection.
    pub auto_reconnect: bool,
    /// Whether [`Effect::RefreshToken`] can be carried out.
    pub can_refresh: bool,
    /// Whether [`Effect::Persist`] is wanted.
    pub persist: bool,
    /// What was last persisted.
    pub stored: Option<String>,
    /// Of the jitter.
    pub seed: u64,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// Two clocks: one that never jumps, for pauses; and the world's, for the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since any fixed moment.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
}

/// What happened.
pub enum Input<'a> {
    /// The application wants a connection.
    Connect,
    /// The application wants none any more.
    Disconnect,
    /// The network or the page may have come back: try now.
    Nudge,
    /// The application wants what came after `since`.
    Replay { since: u64 },
    /// Forget what was delivered.
    ClearReplay,
    /// `expires_at` in Unix seconds; absent: read from the token.
    UpdateToken { token: String, expires_at: Option<i64> },
    /// The answer to [`Effect::RefreshToken`].
    Refreshed(RefreshedToken),
    /// A text message came.
    Frame(&'a str),
    /// The socket is closed, or could not be opened (1006).
    Closed { code: u16, reason: String },
    /// Time has passed.
    Tick,
}

impl fmt::Debug for Input<'_> {
    /// Shows neither tokens nor frames.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("Connect"),
            Self::Disconnect => f.write_str("Disconnect"),
            Self::Nudge => f.write_str("Nudge"),
            Self::Replay { since } => write!(f, "Replay({since})"),
            Self::ClearReplay => f.write_str("ClearReplay"),
            Self::UpdateToken { .. } => f.write_str("UpdateToken"),
            Self::Refreshed(result) => write!(f, "Refreshed(ok: {})", result.is_ok()),
            Self::Frame(_) => f.write_str("Frame"),
            Self::Closed { code, reason } => write!(f, "Closed({code}, {reason})"),
            Self::Tick => f.write_str("Tick"),
        }
    }
}

/// What to do.
#[derive(Clone, PartialEq)]
pub enum Effect {
    /// Open a socket, offering these subprotocols. The second one holds the token.
    Open { url: String, protocols: [String; 2] },
    /// Send a text message.
    Send(String),
    /// Close the socket and forget it.
    Close { code: u16, reason: &'static str },
    /// Get another token and feed it back as [`Input::Refreshed`].
    RefreshToken,
    /// Keep this text across reloads.
    Persist(String),
    /// Remove what was kept.
    Forget,
    /// Tell the application.
    Notify(Notice),
}

impl fmt::Debug for Effect {
    /// Shows neither the token nor frames, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { url, .. } => {
                f.debug_struct("Open").field("url", url).finish_non_exhaustive()
            }
            Self::Send(_) => f.write_str("Send"),
            Self::Close { code, reason } => write!(f, "Close({code}, {reason})"),
            Self::RefreshToken => f.write_str("RefreshToken"),
            Self::Persist(text) => f.debug_tuple("Persist").field(text).finish(),
            Self::Forget => f.write_str("Forget"),
            Self::Notify(notice) => f.debug_tuple("Notify").field(notice).finish(),
        }
    }
}

/// What to tell the application; see [`Handlers`](crate::gateway::Handlers).
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The gateway let us in.
    Connected(Box<Connected>),
    /// An event, once and in order.
    Event { channel: String, event: Event, seq: u64 },
    /// Events from before now follow.
    ReplayStart { channel: String, since: u64, total: u64 },
    /// Everything up to `last_seq` has come.
    ReplayComplete { channel: String, last_seq: u64 },
    /// The events do not go on without a hole.
    Reset(Reset),
    /// We read too slowly.
    Backpressure(Backpressure),
    /// The token ends in so many seconds.
    TokenExpiring { seconds: u64 },
    /// The token has ended, or was refused.
    TokenExpired,
    /// The state changed.
    State(GatewayState),
    /// The connection is gone.
    Disconnected { code: u16, reason: String },
    /// Something went wrong.
    Error { message: String, code: Option<String> },
}

/// Why the events so far do not go on without a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Events of the channel before `oldest_seq` are gone; the next one is that or a later one.
    Truncated { channel: String, oldest_seq: u64 },
    /// The logs began a new life; events count from 1 again.
    EpochChanged,
}

/// The gateway skipped frames because we read too slowly; a replay of them was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backpressure {
    pub channel: String,
    /// Frames skipped this time.
    pub dropped: u64,
    /// Frames skipped on this connection.
    pub total_dropped: u64,
    /// Last sequence number before the first one skipped.
    pub since: u64,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayState {
    /// Not wanted, or properly ended.
    #[default]
    Disconnected,
    /// A socket is being opened, or a token awaited.
    Connecting,
    /// Events flow.
    Connected,
    /// Waiting for the next attempt.
    Reconnecting {
        /// 1 after the first failure.
        attempt: u32,
        in_ms: u64,
    },
    /// Given up. `connect` starts over.
    Failed,
}

/// Counters of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayStats {
    /// Highest sequence number up to which everything was delivered.
    pub last_seq: u64,
    /// Events held back behind a gap.
    pub held: usize,
    /// Events given to the application.
    pub delivered: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Replays asked for, those at connecting not counted.
    pub replays: u64,
    /// Times that the gateway let us in.
    pub connects: u64,
}
