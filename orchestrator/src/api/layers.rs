//! What every answer goes through: a request id, one line in the log, the error envelope, and who may
//! keep it.

use std::any::Any;

use axum::{
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use sandbox_sdk::types::ErrorCode;
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};

use crate::{error::ApiError, traces};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the request, and writes one line when it is answered. The line has the route, never the
/// query: a token may stand there.
pub(super) async fn trace(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>();
    let traced = traced(&request, route.map(MatchedPath::as_str));
    let route = route.map_or_else(|| "-".to_owned(), |route| route.as_str().to_owned());
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, route);
    let answered = traced.clone();
    async move {
        let start = Instant::now();
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(status, micros, "answered");
        answered.record("http.response.status_code", status);
        answered.record("failed", status >= 500);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }
    .instrument(traced)
    .instrument(span)
    .await
}

/// What traces tell of a request: no path, no query, and no word of the caller's.
fn traced(request: &Request, route: Option<&str>) -> Span {
    tracing::info_span!(
        target: traces::TARGET,
        "http.request",
        http.request.method = traces::method(request.method()),
        http.route = route,
        http.response.status_code = Empty,
        failed = Empty,
        traceparent = Empty,
    )
}

/// Puts a request that was let in into its caller's trace, which says whether that is sent. Anybody
/// else would have a say in how much goes to the collector, and below what.
pub(super) fn join_callers_trace(request: &Request) {
    let caller = request.headers().get("traceparent").and_then(|caller| caller.to_str().ok());
    if let Some(caller) = caller {
        Span::current().record("traceparent", caller);
    }
}

/// The caller's own id, if it is harmless; else a fresh one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let harmless = |value: &&HeaderValue| {
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&value.len()) && value.as_bytes().iter().all(named)
    };
    headers.get(&REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
        let fresh = format!("req_{}", uuid::Uuid::now_v7().simple());
        HeaderValue::try_from(fresh).unwrap_or_else(|_| HeaderValue::from_static("req"))
    })
}

/// Keeps what is answered from being kept on its way, unless its route says otherwise, and from being
/// taken for something else than it says: there are credentials in it, and files of sandboxes.
pub(super) async fn kept_nowhere(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    response
}

/// Gives refusals that a library made (and not a handler) the envelope too.
pub(super) async fn envelope(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !(status.is_client_error() || status.is_server_error()) || ours {
        return response;
    }
    let code = match status {
        StatusCode::REQUEST_TIMEOUT => ErrorCode::Timeout,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        status if status.is_server_error() => ErrorCode::Server,
        _ => ErrorCode::Validation,
    };
    let reason = status.canonical_reason().unwrap_or("The request was refused.");
    ApiError::new(code, reason).into_response()
}

/// A handler that panics answers like one that fails, and the process goes on.
pub(super) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    ApiError::new(ErrorCode::Server, "The orchestrator could not do this.").into_response()
}
