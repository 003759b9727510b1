//! Frames of the session gateway, version 1: one JSON text message each.
//!
//! The hosted orchestrator's raw frames are not public. This module is the whole codec: to speak
//! another one, exchange it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Event, Extra};

/// Subprotocol a client offers beside `bearer.<base64url(token)>`; the only one the server selects.
pub const SUBPROTOCOL: &str = "tangle.session.v1";

/// What the gateway sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ServerFrame {
    #[serde(rename = "connection.established")]
    Established { data: Connected },
    #[serde(rename = "agent.event")]
    AgentEvent(Box<AgentEventFrame>),
    #[serde(rename = "subscribed")]
    Subscribed {
        channels: Vec<String>,
        #[serde(default)]
        denied: Vec<DeniedChannel>,
    },
    #[serde(rename = "unsubscribed")]
    Unsubscribed { channels: Vec<String> },
    /// Replay of `from..=to` begins; `truncated`: older events than `oldest_seq` are gone.
    #[serde(rename = "replay.start", rename_all = "camelCase")]
    ReplayStart {
        channel: String,
        since: u64,
        from: u64,
        to: u64,
        total: u64,
        truncated: bool,
        oldest_seq: u64,
    },
    #[serde(rename = "replay.complete", rename_all = "camelCase")]
    ReplayComplete { channel: String, since: u64, replayed: u64, last_seq: u64, truncated: bool },
    #[serde(rename = "backpressure.warning", rename_all = "camelCase")]
    Backpressure {
        channel: String,
        dropped: u64,
        dropped_count: u64,
        since: u64,
        total_dropped: u64,
        suggest_replay: bool,
    },
    #[serde(rename = "token.expiring", rename_all = "camelCase")]
    TokenExpiring { seconds_remaining: u64, expires_at: i64 },
    #[serde(rename = "token.expired")]
    TokenExpired,
    #[serde(rename = "token.updated", rename_all = "camelCase")]
    TokenUpdated { expires_at: i64 },
    #[serde(rename = "ping")]
    Ping { timestamp: i64 },
    #[serde(rename = "pong")]
    Pong { timestamp: i64 },
    #[serde(rename = "error")]
    Error {
        code: String,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
    /// The server is going away; come back after the given pause.
    #[serde(rename = "server.draining", rename_all = "camelCase")]
    Draining { retry_after_ms: u64 },
    #[serde(untagged)]
    Other(Extra),
}

/// First frame of every connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    pub connection_id: String,
    pub session_id: String,
    pub server_instance_id: String,
    /// Names the life of the logs. Another epoch: forget the cursor and start over.
    pub epoch: String,
    /// Unix seconds at which the token, and so the connection, ends.
    pub expires_at: i64,
    pub heartbeat_interval_ms: u64,
    pub subscribed: Vec<String>,
    #[serde(default)]
    pub denied: Vec<DeniedChannel>,
    /// Last sequence number of each subscribed channel.
    pub last_seq: BTreeMap<String, u64>,
    pub protocol: u32,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedChannel {
    pub channel: String,
    pub reason: String,
}

/// An event of the session's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentEventFrame {
    pub channel: String,
    /// 1, 2, 3, … per channel, without gaps.
    pub seq: u64,
    /// Milliseconds since the Unix epoch, when it was appended.
    pub timestamp: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    pub data: Event,
}

/// What a viewer sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ClientFrame {
    #[serde(rename = "auth")]
    Auth { token: String },
    /// `since`: replay what came after it; absent: live events only.
    #[serde(rename = "subscribe")]
    Subscribe {
        channels: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    #[serde(rename = "unsubscribe")]
    Unsubscribe { channels: Vec<String> },
    #[serde(rename = "replay")]
    Replay {
        since: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
    #[serde(rename = "token.update")]
    TokenUpdate { token: String },
    #[serde(rename = "ping")]
    Ping { timestamp: i64 },
    #[serde(rename = "pong")]
    Pong {
        #[serde(default)]
        timestamp: i64,
    },
}

/// Why a connection was closed.
pub mod close_code {
    /// The viewer left, or there is nothing more to come.
    pub const DONE: u16 = 1000;
    pub const RESTART: u16 = 1001;
    pub const INTERNAL: u16 = 1011;
    pub const OVERLOADED: u16 = 1013;
    pub const PROTOCOL: u16 = 4400;
    /// Token missing, invalid or expired: fetch another, then come back.
    pub const TOKEN: u16 = 4401;
    pub const FORBIDDEN: u16 = 4403;
    pub const UNKNOWN_SESSION: u16 = 4404;
    pub const PING_TIMEOUT: u16 = 4408;
    pub const SLOW: u16 = 4429;
}
