//! The event log as server-sent events: what came after a number, then what comes.

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
use serde::Deserialize;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    App, Shared,
    extract::{Path, Query},
};
use crate::{
    error::ApiError,
    log::{Cursor, Life, SessionLog},
    store::StoredEvent,
};

/// Bytes of events in one write.
const PAGE: usize = 64 * 1024;
/// Pause after which a comment keeps proxies from closing a quiet connection.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new().route("/agents/sessions/{sid}/events", get(events))
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

async fn events(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.session_in(&id, &sid).await?;
    let since = since.or_header(&headers)?;
    let log = app.logs.session(&sid).await?;
    Ok(follow(&app, log, since))
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
            let page = cursor.page(PAGE, None).await.ok()?;
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
    use crate::log::tests::Bench;

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
}
