//! Frames of the session gateway, version 1: one JSON text message each.
//!
//! The hosted orchestrator's raw frames are not public. This module is the whole codec: to speak
//! another one, exchange it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Event, Extra,
    fields::{optional, read_fields, required},
};

/// Subprotocol a client offers beside `bearer.<base64url(token)>`; the only one the server selects.
pub const SUBPROTOCOL: &str = "tangle.session.v1";

/// What the gateway sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum ServerFrame {
    /// The first frame of a connection.
    #[serde(rename = "connection.established")]
    Established { data: Connected },
    /// An event of a channel's log.
    #[serde(rename = "agent.event")]
    AgentEvent(Box<AgentEventFrame>),
    /// Answer to `subscribe`: what is watched now, and what may not be.
    #[serde(rename = "subscribed")]
    Subscribed { channels: Vec<String>, denied: Vec<DeniedChannel> },
    /// Answer to `unsubscribe`: what is watched no more, and what was not watched.
    #[serde(rename = "unsubscribed")]
    Unsubscribed { channels: Vec<String>, denied: Vec<DeniedChannel> },
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
    /// Everything up to `last_seq` was sent; live events follow.
    #[serde(rename = "replay.complete", rename_all = "camelCase")]
    ReplayComplete { channel: String, since: u64, replayed: u64, last_seq: u64, truncated: bool },
    /// The viewer reads too slowly: `dropped` frames after `since` were skipped now, `total_dropped` so far.
    #[serde(rename = "backpressure.warning", rename_all = "camelCase")]
    Backpressure {
        channel: String,
        dropped: u64,
        dropped_count: u64,
        since: u64,
        total_dropped: u64,
        suggest_replay: bool,
    },
    /// The connection's token ends soon; `expires_at` in Unix seconds.
    #[serde(rename = "token.expiring", rename_all = "camelCase")]
    TokenExpiring { seconds_remaining: u64, expires_at: i64 },
    /// The token has ended; close 4401 follows.
    #[serde(rename = "token.expired")]
    TokenExpired,
    /// Answer to `token.update`.
    #[serde(rename = "token.updated", rename_all = "camelCase")]
    TokenUpdated { expires_at: i64 },
    /// Are you there? Answered with `pong` and the same time.
    #[serde(rename = "ping")]
    Ping { timestamp: i64 },
    /// Answer to `ping`.
    #[serde(rename = "pong")]
    Pong { timestamp: i64 },
    /// Something of the viewer was not accepted.
    #[serde(rename = "error")]
    Error {
        code: String,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
    /// The server is going away; come back after the given pause.
    #[serde(rename = "server.draining", rename_all = "camelCase")]
    Draining { retry_after_ms: u64 },
    /// A frame that this version does not know, as it came.
    #[serde(untagged)]
    Other(Extra),
}

/// First frame of every connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    /// Names the connection in the logs.
    pub connection_id: String,
    /// Session that the token opens; empty for one that opens projects.
    pub session_id: String,
    /// Changes with every start of the server.
    pub server_instance_id: String,
    /// Names the life of the logs. Another epoch: forget the cursor and start over.
    pub epoch: String,
    /// Unix seconds at which the token, and so the connection, ends.
    pub expires_at: i64,
    /// Pause between two pings of the server.
    pub heartbeat_interval_ms: u64,
    /// Channels that are watched from the beginning.
    pub subscribed: Vec<String>,
    /// Channels that were asked for and may not be watched.
    pub denied: Vec<DeniedChannel>,
    /// Last sequence number of each subscribed channel.
    pub last_seq: BTreeMap<String, u64>,
    /// Version of this protocol: 1.
    pub protocol: u32,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A channel that may not be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeniedChannel {
    /// `session:<id>`, `agent:<id>`, …
    pub channel: String,
    /// In words.
    pub reason: String,
}

/// An event of the session's log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentEventFrame {
    /// `session:<id>`, `agent:<id>`, …
    pub channel: String,
    /// 1, 2, 3, … per channel, without gaps.
    pub seq: u64,
    /// Milliseconds since the Unix epoch, when it was appended.
    pub timestamp: i64,
    /// From the log, not live.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// The event.
    pub data: Event,
}

read_fields! {
    Connected {
        connection_id: optional("connectionId"),
        session_id: optional("sessionId"),
        server_instance_id: optional("serverInstanceId"),
        epoch: required("epoch"),
        expires_at: optional("expiresAt"),
        heartbeat_interval_ms: optional("heartbeatIntervalMs"),
        subscribed: optional("subscribed"),
        denied: optional("denied"),
        last_seq: optional("lastSeq"),
        protocol: optional("protocol");
        extra
    }
    DeniedChannel {
        channel: required("channel"),
        reason: optional("reason")
    }
    AgentEventFrame {
        channel: required("channel"),
        seq: required("seq"),
        timestamp: optional("timestamp"),
        replay: optional("replay"),
        data: required("data")
    }
}

impl<'de> Deserialize<'de> for ServerFrame {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::from_fields(Extra::deserialize(source)?).map_err(serde::de::Error::custom)
    }
}

impl ServerFrame {
    fn from_fields(mut fields: Extra) -> serde_json::Result<Self> {
        let kind: String = required(&mut fields, "type")?;
        let mut rest = fields;
        let fields = &mut rest;
        Ok(match kind.as_str() {
            "connection.established" => Self::Established { data: required(fields, "data")? },
            "agent.event" => Self::AgentEvent(Box::new(AgentEventFrame::from_fields(rest)?)),
            "subscribed" => Self::Subscribed {
                channels: required(fields, "channels")?,
                denied: optional(fields, "denied")?,
            },
            "unsubscribed" => Self::Unsubscribed {
                channels: required(fields, "channels")?,
                denied: optional(fields, "denied")?,
            },
            "replay.start" => Self::ReplayStart {
                channel: required(fields, "channel")?,
                since: required(fields, "since")?,
                from: optional(fields, "from")?,
                to: optional(fields, "to")?,
                total: optional(fields, "total")?,
                truncated: optional(fields, "truncated")?,
                oldest_seq: optional(fields, "oldestSeq")?,
            },
            "replay.complete" => Self::ReplayComplete {
                channel: required(fields, "channel")?,
                since: optional(fields, "since")?,
                replayed: optional(fields, "replayed")?,
                last_seq: optional(fields, "lastSeq")?,
                truncated: optional(fields, "truncated")?,
            },
            "backpressure.warning" => Self::Backpressure {
                channel: required(fields, "channel")?,
                dropped: optional(fields, "dropped")?,
                dropped_count: optional(fields, "droppedCount")?,
                since: required(fields, "since")?,
                total_dropped: optional(fields, "totalDropped")?,
                suggest_replay: optional(fields, "suggestReplay")?,
            },
            "token.expiring" => Self::TokenExpiring {
                seconds_remaining: optional(fields, "secondsRemaining")?,
                expires_at: required(fields, "expiresAt")?,
            },
            "token.expired" => Self::TokenExpired,
            "token.updated" => Self::TokenUpdated { expires_at: required(fields, "expiresAt")? },
            "ping" => Self::Ping { timestamp: optional(fields, "timestamp")? },
            "pong" => Self::Pong { timestamp: optional(fields, "timestamp")? },
            "error" => Self::Error {
                code: optional(fields, "code")?,
                message: required(fields, "message")?,
                channel: optional(fields, "channel")?,
            },
            "server.draining" => {
                Self::Draining { retry_after_ms: optional(fields, "retryAfterMs")? }
            }
            _ => {
                rest.insert("type".to_owned(), kind.into());
                Self::Other(rest)
            }
        })
    }
}

/// What a viewer sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ClientFrame {
    /// The token, where it could not travel with the connection.
    #[serde(rename = "auth")]
    Auth { token: String },
    /// `since`: replay what came after it; absent: live events only.
    #[serde(rename = "subscribe")]
    Subscribe {
        channels: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// No more events of these channels.
    #[serde(rename = "unsubscribe")]
    Unsubscribe { channels: Vec<String> },
    /// Send what came after `since` again. No channel: the own one.
    #[serde(rename = "replay")]
    Replay {
        since: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
    /// Another token with the same authority, in place of the current one.
    #[serde(rename = "token.update")]
    TokenUpdate { token: String },
    /// Are you there? Answered with `pong` and the same time.
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
    /// The server goes away; come back.
    pub const RESTART: u16 = 1001;
    /// The server's fault; come back.
    pub const INTERNAL: u16 = 1011;
    /// Too many viewers; come back later.
    pub const OVERLOADED: u16 = 1013;
    /// The viewer does not speak this protocol. Final.
    pub const PROTOCOL: u16 = 4400;
    /// Token missing, invalid or expired: fetch another, then come back.
    pub const TOKEN: u16 = 4401;
    /// No token of this kind opens this. Final.
    pub const FORBIDDEN: u16 = 4403;
    /// There is no such session. Final.
    pub const UNKNOWN_SESSION: u16 = 4404;
    /// The viewer was silent for too long; come back.
    pub const PING_TIMEOUT: u16 = 4408;
    /// The viewer sent a message that is larger than the server takes. Final.
    pub const TOO_LARGE: u16 = 4413;
    /// The viewer reads too slowly, or asks too often; come back.
    pub const SLOW: u16 = 4429;
}
