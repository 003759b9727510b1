//! Events of an agent session over server-sent events.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    Stream,
    stream::{self, BoxStream},
};
use reqwest::{Method, Response};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Error, SandboxHandle, SseEvent, SseParser, http::segment};
use crate::types::Event;

/// A stream that is silent for longer than this, without even a heartbeat, is dead.
const MAX_SILENCE: Duration = Duration::from_secs(90);
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
pub struct EventStream(BoxStream<'static, Result<(u64, Event), Error>>);

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream")
    }
}

impl Stream for EventStream {
    type Item = Result<(u64, Event), Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl SandboxHandle {
    /// The events of a session after sequence number `since`: first those in the log, then live ones.
    ///
    /// # Errors
    /// When the stream cannot be opened. Later failures are items of the stream, each its last.
    pub async fn events(&self, session_id: &str, since: u64) -> Result<EventStream, Error> {
        let path = format!("/agents/sessions/{}/events", segment(session_id)?);
        let call = self.call(Method::GET, &path)?.query("since", since);
        let response = self.client.open(call).await?;
        let reader = Reader {
            response,
            parser: SseParser::default(),
            ready: VecDeque::new(),
            last_seq: since,
        };
        Ok(EventStream(Box::pin(stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))))
    }
}

struct Reader {
    response: Response,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
    last_seq: u64,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<(u64, Event)>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                match decode(event, &mut self.last_seq)? {
                    Some(event) => return Ok(Some((self.last_seq, event))),
                    None => continue,
                }
            }
            let chunk = timeout(MAX_SILENCE, self.response.chunk())
                .await
                .map_err(|_| Error::Timeout(MAX_SILENCE))?
                .map_err(Error::transport)?;
            let Some(chunk) = chunk else { return Ok(None) };
            let events = self
                .parser
                .push(&chunk)
                .map_err(|_| Error::Decode { context: "an event is too large", source: None })?;
            self.ready.extend(events);
        }
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
