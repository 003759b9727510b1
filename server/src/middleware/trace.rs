//! Puts every request into a trace, which goes on in the orchestrator.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use backend::TraceParent;

use super::client::peer;
use crate::AppState;

/// A trace that a proxy of ours has begun goes on. Anybody else's is not taken up: strangers would
/// choose what is recorded, and put their requests among those of others.
pub(crate) async fn trace(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let web = state.web();
    let known = web.proxies.is_ours(peer(&request)).then(|| told(&request)).flatten();
    let Some(trace) = known.or_else(|| backend::begin_trace(web.traces_share)) else {
        return next.run(request).await;
    };
    request.extensions_mut().insert(trace);
    backend::in_trace(trace, next.run(request)).await
}

fn told(request: &Request) -> Option<TraceParent> {
    request.headers().get(TraceParent::HEADER)?.to_str().ok()?.parse().ok()
}
