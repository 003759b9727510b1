//! One line a request: what was asked, what was answered, how long it took.
//!
//! Never: cookies, tokens, query strings, bodies, addresses.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use backend::TraceParent;
use tracing::Instrument;

use super::RequestId;

/// Longest path that is logged whole.
const MAX_PATH: usize = 200;

pub(crate) async fn log_request(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request.extensions().get::<RequestId>().map_or("none", RequestId::as_str).to_owned();
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(MAX_PATH).collect();
    let trace = request.extensions().get::<TraceParent>();
    let trace = trace.map(|parent| format!("{:032x}", parent.trace()));
    let span = tracing::info_span!("request", request.id = id, trace.id = trace);
    let response = next.run(request).instrument(span).await;

    let status = response.status().as_u16();
    let elapsed_ms = started.elapsed().as_millis();
    // Probes come every few seconds and say nothing while they go well.
    if matches!(path.as_str(), "/healthz" | "/readyz") && status < 400 {
        tracing::debug!(http.method = %method, http.path = path, http.status = status, "probe");
    } else {
        tracing::info!(
            request.id = id,
            trace.id = trace,
            http.method = %method,
            http.path = path,
            http.status = status,
            http.duration_ms = elapsed_ms,
            "{method} {path} {status} in {elapsed_ms} ms"
        );
    }
    response
}
