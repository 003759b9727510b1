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
    log::{Cursor, Life},
    store::StoredEvent,
};

/// Bytes of events in one write.
const PAGE: usize = 64 * 1024;
/// A comment that keeps proxies from closing a quiet connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new().route("/agents/sessions/{sid}/events", get(events))
}

#[derive(Deserialize)]
struct Since {
    since: Option<u64>,
}

/// Without `since` the header `Last-Event-ID` counts; without both, the log from its beginning.
async fn events(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    Query(query): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.session_in(&id, &sid).await?;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let header = match header {
        Some(value) => Some(value.trim().parse().map_err(|_| {
            ApiError::invalid("Last-Event-ID must be the number of an event of this session")
        })?),
        None => None,
    };
    let since = query.since.or(header).unwrap_or(0);
    let log = app.logs.session(&sid).await?;
    let cursor = app.logs.cursor(log, since);
    let body = Body::from_stream(frames(cursor, app.gateway.draining()));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
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
        loop {
            let page = cursor.page(PAGE, None).await.ok()?;
            if !page.is_empty() {
                let mut text = String::with_capacity(PAGE);
                page.iter().for_each(|event| write_frame(&mut text, event));
                return Some((Ok(Bytes::from(text)), (cursor, draining, None)));
            }
            if cursor.head().life == Life::Deleted {
                return None;
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
