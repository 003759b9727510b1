//! Frames with events, put together from JSON that stands in the log already.

use sandbox_sdk::types::{ServerFrame, close_code};
use serde_json::Value;

use crate::store::StoredEvent;

/// Shape of frames with events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// `{type: "agent.event", …, data: {type, data}}`
    #[default]
    Envelope,
    /// The same, with `properties` as another name of the inner `data`.
    Alias,
    /// `{type: <the event's>, data, …}`, for viewers that know nothing of channels.
    Flat,
}

/// Writes the frame of an event.
pub(super) fn event(format: Format, channel: &str, event: &StoredEvent, replay: bool) -> String {
    let StoredEvent { seq, at, kind, data } = event;
    let kind = Value::from(&**kind);
    let channel = Value::from(channel);
    if format == Format::Flat {
        return format!(
            r#"{{"type":{kind},"data":{data},"timestamp":{at},"channel":{channel},"seq":{seq}}}"#
        );
    }
    let replay = if replay { r#","replay":true"# } else { "" };
    let head = format!(
        r#"{{"type":"agent.event","channel":{channel},"seq":{seq},"id":"{seq}","timestamp":{at}{replay}"#
    );
    match format {
        Format::Alias => {
            format!(r#"{head},"data":{{"type":{kind},"data":{data},"properties":{data}}}}}"#)
        }
        Format::Envelope | Format::Flat => {
            format!(r#"{head},"data":{{"type":{kind},"data":{data}}}}}"#)
        }
    }
}

/// Writes any other frame.
pub(super) fn control(frame: &ServerFrame) -> String {
    // All of them are plain structs; there is nothing in them that JSON could not hold.
    serde_json::to_string(frame).unwrap_or_default()
}

pub(super) fn error(code: &str, message: impl Into<String>, channel: Option<&str>) -> ServerFrame {
    ServerFrame::Error {
        code: code.to_owned(),
        message: message.into(),
        channel: channel.map(str::to_owned),
    }
}

/// Why the gateway ends a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    /// Says it in words first, if there is more to say than the code does.
    pub(super) frame: Option<Box<ServerFrame>>,
    pub(super) close: u16,
    pub(super) reason: &'static str,
}

impl Ending {
    fn new(close: u16, reason: &'static str) -> Self {
        Self { frame: None, close, reason }
    }

    fn with_error(close: u16, reason: &'static str, code: &str, message: &str) -> Self {
        Self { frame: Some(Box::new(error(code, message, None))), close, reason }
    }

    pub(super) fn token(error: sandbox_sdk::auth::TokenError) -> Self {
        let message = error.to_string();
        Self::with_error(error.close_code(), "token refused", error.code(), &message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::with_error(close_code::FORBIDDEN, "forbidden", "FORBIDDEN", message)
    }

    pub(super) fn protocol(message: &str) -> Self {
        Self::with_error(close_code::PROTOCOL, "bad message", "BAD_MESSAGE", message)
    }

    pub(super) fn too_large() -> Self {
        let message = "a message was larger than 64 KiB";
        let (close, reason) = (close_code::TOO_LARGE, "message too large");
        Self::with_error(close, reason, "MESSAGE_TOO_LARGE", message)
    }

    pub(super) fn rate() -> Self {
        Self::with_error(close_code::SLOW, "too many messages", "RATE_LIMITED", "too many messages")
    }

    pub(super) fn expired() -> Self {
        let frame = Some(Box::new(ServerFrame::TokenExpired));
        Self { frame, close: close_code::TOKEN, reason: "token expired" }
    }

    pub(super) fn draining() -> Self {
        // Spread, so that not all viewers come back in the same moment.
        let jitter = uuid::Uuid::now_v7().as_u128() % 1500;
        let retry_after_ms = 250 + u64::try_from(jitter).unwrap_or(0);
        let frame = Some(Box::new(ServerFrame::Draining { retry_after_ms }));
        Self { frame, close: close_code::RESTART, reason: "server restart" }
    }

    pub(super) fn deleted() -> Self {
        Self::new(close_code::UNKNOWN_SESSION, "session deleted")
    }

    /// What the viewer saw of the session goes no further; it comes back to see the other one.
    pub(super) fn moved() -> Self {
        Self::new(close_code::RESTART, "mapped to another session")
    }

    pub(super) fn unknown_session() -> Self {
        let message = "nobody has registered this session";
        Self::with_error(
            close_code::UNKNOWN_SESSION,
            "unknown session",
            "SESSION_NOT_FOUND",
            message,
        )
    }

    pub(super) fn silent() -> Self {
        Self::new(close_code::PING_TIMEOUT, "ping timeout")
    }

    pub(super) fn slow() -> Self {
        Self::new(close_code::SLOW, "no progress")
    }

    pub(super) fn overloaded() -> Self {
        Self::new(close_code::OVERLOADED, "too many connections")
    }

    pub(super) fn internal() -> Self {
        Self::new(close_code::INTERNAL, "internal error")
    }

    /// The viewer went by itself; there is nobody to tell.
    pub(super) fn gone() -> Self {
        Self::new(close_code::DONE, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored() -> StoredEvent {
        StoredEvent { seq: 7, at: 5, kind: "a\"b".into(), data: r#"{"x":1}"#.into() }
    }

    fn frame(format: Format, replay: bool) -> Value {
        serde_json::from_str(&event(format, "session:s", &stored(), replay)).unwrap()
    }

    #[test]
    fn frames_are_what_the_protocol_says() {
        let inner = json!({"type": "a\"b", "data": {"x": 1}});
        let mut expected = json!({
            "type": "agent.event", "channel": "session:s", "seq": 7, "id": "7", "timestamp": 5,
            "data": inner,
        });
        assert_eq!(frame(Format::Envelope, false), expected);
        expected["replay"] = json!(true);
        assert_eq!(frame(Format::Envelope, true), expected);
        expected["data"]["properties"] = json!({"x": 1});
        assert_eq!(frame(Format::Alias, true), expected);
        let flat = json!({
            "type": "a\"b", "data": {"x": 1}, "timestamp": 5, "channel": "session:s", "seq": 7,
        });
        assert_eq!(frame(Format::Flat, true), flat);
    }

    #[test]
    fn the_sdk_reads_them() {
        let read: ServerFrame =
            serde_json::from_str(&event(Format::Envelope, "session:s", &stored(), true)).unwrap();
        let ServerFrame::AgentEvent(frame) = read else { panic!("{read:?}") };
        assert_eq!((frame.seq, frame.replay, frame.data.kind.as_str()), (7, true, "a\"b"));
    }
}
