//! What comes through of a sandbox's answer.

use std::io;

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{
            ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};
use futures::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sandbox_sdk::types::ErrorCode;
use tokio::time::timeout;

use super::Bounds;
use crate::{error::ApiError, sidecar::SidecarError};

/// Types that no browser takes for a page or a program. Everything else becomes plain bytes.
const KINDS: [&str; 5] = [
    "application/json",
    "application/octet-stream",
    "application/gzip",
    "text/event-stream",
    "text/plain; charset=utf-8",
];
/// What else of the head comes through.
const PASSED: [HeaderName; 3] = [ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE];

/// The answer for the client. An answer that breaks its bounds later breaks off, and so does its
/// connection: nobody takes it for whole.
pub(super) fn of(
    sandbox: &str,
    theirs: http::Response<Incoming>,
    bounds: Bounds,
    kept: impl Send + 'static,
) -> Result<Response, ApiError> {
    let (head, body) = theirs.into_parts();
    if body.size_hint().lower() > bounds.answer {
        return Err(too_large(bounds));
    }
    let body = bounded(sandbox.to_owned(), body, bounds, kept);
    let mut answer = Response::new(Body::from_stream(body));
    *answer.status_mut() = head.status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(&head.headers)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Should a browser show it after all, it is no page of this origin and runs nothing.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    let disposition = head.headers.get(CONTENT_DISPOSITION);
    if let Some(value) = disposition.filter(|value| value.as_bytes().starts_with(b"attachment")) {
        headers.insert(CONTENT_DISPOSITION, value.clone());
    }
    for name in PASSED {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    Ok(answer)
}

fn too_large(Bounds { answer, setting, .. }: Bounds) -> ApiError {
    let Some(setting) = setting else {
        return SidecarError::Nonsense("the answer is too large".to_owned()).into();
    };
    let words = format!(
        "This is larger than {answer} bytes, which is the most here ({setting}). A file can be had \
         in parts, by the header Range."
    );
    ApiError::new(ErrorCode::TooLarge, words).with("limit", answer)
}

fn kind(headers: &HeaderMap) -> &'static str {
    let given = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let known = KINDS.into_iter().find(|kind| given.eq_ignore_ascii_case(kind.as_bytes()));
    known.unwrap_or("application/octet-stream")
}

fn bounded(
    sandbox: String,
    body: Incoming,
    bounds: Bounds,
    kept: impl Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let start = (sandbox, body.into_data_stream(), bounds.answer, kept);
    stream::try_unfold(start, move |(sandbox, mut body, left, kept)| async move {
        let next = timeout(bounds.patience, body.next()).await;
        let Some(piece) = next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? else {
            return Ok(None);
        };
        let piece = piece.map_err(io::Error::other)?;
        let Some(left) = left.checked_sub(piece.len() as u64) else {
            let Bounds { answer: limit, setting, .. } = bounds;
            tracing::warn!(sandbox, limit, setting, "answer broken off: it is too large");
            return Err(io::Error::other("the answer is too large"));
        };
        Ok::<_, io::Error>(Some((piece, (sandbox, body, left, kept))))
    })
}
