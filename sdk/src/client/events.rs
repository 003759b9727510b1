//! Events of an agent session over server-sent events.

use reqwest::Method;
use serde_json::{Map, Value};

use super::{Error, SandboxHandle, SseEvent, Streamed, http::segment};
use crate::types::Event;

/// Events about the connection; they are not in the log.
const NOTICES: [&str; 7] = [
    "heartbeat",
    "ping",
    "pong",
    "connection.init",
    "connection.established",
    "history.replay.start",
    "history.replay.end",
];

/// Events with their sequence numbers, in order.
///
/// The end of the stream says nothing about the turn: a severed connection looks the same. Go on from
/// the last sequence number until the turn's `done` has come.
pub type EventStream = Streamed<(u64, Event)>;

impl SandboxHandle {
    /// The events of a session after sequence number `since`: first those in the log, then live ones.
    ///
    /// # Errors
    /// When the stream cannot be opened. Later failures are items of the stream, each its last.
    pub async fn events(&self, session_id: &str, since: u64) -> Result<EventStream, Error> {
        let path = format!("/agents/sessions/{}/events", segment(session_id)?);
        let call = self.call(Method::GET, &path)?.query("since", since);
        let response = self.client.open(call).await?;
        let mut last_seq = since;
        Ok(Streamed::new(response, move |frame| {
            let event = decode(frame, &mut last_seq)?;
            Ok(event.map(|event| (last_seq, event)))
        }))
    }
}

/// Reads one event: its data may be the event's data, or the whole event with its type in it.
fn decode(frame: SseEvent, last_seq: &mut u64) -> Result<Option<Event>, Error> {
    if NOTICES.contains(&frame.event.as_str()) {
        return Ok(None);
    }
    if let Some(seq) = frame.id.and_then(|id| id.parse().ok()) {
        *last_seq = seq;
    }
    let failed = |error| Error::Decode { context: "an event", source: Some(error) };
    let value: Value = serde_json::from_str(&frame.data).map_err(failed)?;
    let whole = value.get("type").and_then(Value::as_str).is_some_and(|kind| {
        kind == frame.event && (value.get("data").is_some() || value.get("properties").is_some())
    });
    if whole || matches!(frame.event.as_str(), "" | "message") {
        let event: Event = serde_json::from_value(value).map_err(failed)?;
        return Ok(Some(event).filter(|event| !NOTICES.contains(&event.kind.as_str())));
    }
    let data = match value {
        Value::Object(data) => data,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    Ok(Some(Event { kind: frame.event, data }))
}
