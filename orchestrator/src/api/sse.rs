//! The event log as server-sent events: what came after a number, then what comes.

mod bus;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{Stream, stream};
use sandbox_sdk::types::event_type;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    App, Shared,
    extract::{Path, Query},
    runs,
};
use crate::{
    error::ApiError,
    log::{Cursor, Life, Page, SessionLog},
    store::StoredEvent,
};

/// Bytes of events in one write.
const PAGE: usize = 64 * 1024;
/// Pause after which a comment keeps proxies from closing a quiet connection.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new().route("/agents/sessions/{sid}/events", get(events)).merge(bus::in_sandbox())
}

/// Where a stream begins: after the event of this number.
#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<u64>,
    /// What browsers' readers call it.
    #[serde(rename = "lastEventId")]
    last_event_id: Option<u64>,
}

impl Since {
    /// Without a number in the query the header `Last-Event-ID` counts; without all of them, the
    /// log from its beginning.
    pub(super) fn or_header(self, headers: &HeaderMap) -> Result<u64, ApiError> {
        let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let header = match header {
            Some(value) => Some(value.trim().parse().map_err(|_| {
                ApiError::invalid("Last-Event-ID must be the number of an event of this log")
            })?),
            None => None,
        };
        Ok(self.since.or(self.last_event_id).or(header).unwrap_or(0))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Which {
    /// Only what this execution says, and no further than to its end.
    execution_id: Option<String>,
}

async fn events(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    Query(since): Query<Since>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let log = app.log_of(&id, &sid).await?;
    let since = since.or_header(&headers)?;
    match which.execution_id {
        Some(execution) => runs::events_of(&app, &id, &sid, &execution, since).await,
        None => Ok(follow(&app, log, since)),
    }
}

/// A log from a number on, for as long as it exists.
pub(super) fn follow(app: &App, log: Arc<SessionLog>, since: u64) -> Response {
    let cursor = app.logs.cursor(log, since);
    answer(frames(cursor, app.gateway.draining()))
}

/// The answer that carries such a stream.
pub(super) fn answer(
    frames: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

/// Reads a page only when the one before was taken, so that a slow client holds one page at most.
fn frames(
    cursor: Cursor,
    draining: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let opening = Some(Bytes::from_static(b": connected\n\n"));
    stream::unfold((cursor, draining, opening), async |(mut cursor, draining, opening)| {
        if let Some(opening) = opening {
            return Some((Ok(opening), (cursor, draining, None)));
        }
        let mut is_over = false;
        loop {
            let page = match cursor.page(PAGE, None).await.ok()? {
                Page::Events(events) => events,
                Page::Cut { after, oldest } => {
                    let told = cut_off(after, oldest, None);
                    return Some((Ok(told), (cursor, draining, None)));
                }
            };
            if !page.is_empty() {
                let mut text = String::with_capacity(PAGE);
                page.iter().for_each(|event| write_frame(&mut text, event));
                return Some((Ok(Bytes::from(text)), (cursor, draining, None)));
            }
            if is_over {
                return None;
            }
            is_over = cursor.head().life == Life::Deleted;
            if is_over {
                // Its last events may have come since the page was read.
                continue;
            }
            let changed = draining.run_until_cancelled(timeout(KEEP_ALIVE, cursor.changed()));
            match changed.await {
                Some(Ok(())) => {}
                Some(Err(_)) => {
                    let comment = Bytes::from_static(b": keep-alive\n\n");
                    return Some((Ok(comment), (cursor, draining, None)));
                }
                None => return None,
            }
        }
    })
}

/// One frame, to be written at once: `event`, `data` on one line, and the number if it can be asked
/// for again. The data is JSON, which has no line breaks.
pub(super) fn frame(kind: &str, id: Option<u64>, data: &str) -> Bytes {
    let kind = kind.lines().next().unwrap_or_default();
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    Bytes::from(format!("event: {kind}\ndata: {data}\n{id}\n"))
}

/// That events are missing here which are no longer kept. It has no number: it stands in no log.
pub(super) fn cut_off(after: u64, oldest: u64, session_id: Option<&str>) -> Bytes {
    let mut data = json!({
        "code": "EVENTS_CUT",
        "message": "Older events are no longer kept; the turns' records are.",
        "since": after,
        "truncated": true,
        "oldestSeq": oldest,
    });
    if let Some(session_id) = session_id {
        data["sessionId"] = session_id.into();
    }
    frame(event_type::WARNING, None, &data.to_string())
}

/// LF, one space after the colon, one line of data: what the strictest reader takes. JSON has no
/// line breaks, and the names of events come from here.
fn write_frame(text: &mut String, event: &StoredEvent) {
    let kind = event.kind.lines().next().unwrap_or_default();
    let seq = event.seq.to_string();
    for piece in ["event: ", kind, "\nid: ", &seq, "\ndata: ", &event.data, "\n\n"] {
        text.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use sandbox_sdk::types::Event;

    use super::*;
    use crate::log::tests::{Bench, event};

    #[tokio::test]
    async fn the_last_event_of_a_log_is_told_before_its_stream_ends() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::open(dir.path()).await;
        let log = bench.session("s", "u").await;
        let cursor = bench.logs.cursor(log.clone(), 0);
        let mut frames = std::pin::pin!(frames(cursor, CancellationToken::new()));
        assert_eq!(frames.next().await.unwrap().unwrap(), ": connected\n\n");
        let last = Event { kind: "last".to_owned(), data: serde_json::Map::new() };
        bench.append(&log, vec![last]).await;
        // Before anybody has come to read it.
        bench.logs.forget("s");
        let told = frames.next().await.unwrap().unwrap();
        assert_eq!(told, "event: last\nid: 1\ndata: {}\n\n");
        assert!(frames.next().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_is_told_of_events_that_are_no_longer_kept() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::open(dir.path()).await;
        let log = bench.session("s", "u").await;
        bench.append(&log, (1..=3).map(|number| event(number, 1)).collect()).await;
        bench.keep(1).await;
        let cursor = bench.logs.cursor(log, 1);
        let mut frames = std::pin::pin!(frames(cursor, CancellationToken::new()));
        assert_eq!(frames.next().await.unwrap().unwrap(), ": connected\n\n");
        let told = frames.next().await.unwrap().unwrap();
        let told = std::str::from_utf8(&told).unwrap();
        assert!(told.starts_with("event: warning\ndata: {") && !told.contains("\nid:"), "{told}");
        assert!(told.contains(r#""code":"EVENTS_CUT""#), "{told}");
        assert!(told.contains(r#""oldestSeq":3"#) && told.contains(r#""since":1"#), "{told}");
        let rest = frames.next().await.unwrap().unwrap();
        assert!(rest.starts_with(b"event: status\nid: 3\n"));
    }
}
