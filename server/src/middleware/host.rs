//! Answers only requests that are meant for this server.
//!
//! A page of another site whose name was made to point at this machine is same-origin with itself: the
//! browser would let it read our answers. Its `Host` gives it away.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HOST;

use crate::AppState;
use crate::router::WEBHOOK;

pub(crate) async fn check_host(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    // Machines ask by whatever address they know, and carry no cookies that could be abused.
    if matches!(request.uri().path(), "/healthz" | "/readyz" | WEBHOOK) {
        return next.run(request).await;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let known = |host: &str| state.web().origins.knows_host(host);
    let header_known = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(known),
        _ => false,
    };
    let target_known = request.uri().authority().is_none_or(|target| known(target.as_str()));
    if header_known && target_known {
        return next.run(request).await;
    }
    let said = "This server does not go by that name. If it should, add it to SKEIN_ORIGIN.\n";
    (StatusCode::MISDIRECTED_REQUEST, said).into_response()
}
