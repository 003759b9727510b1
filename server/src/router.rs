//! The routes and what stands around all of them.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::timeout::TimeoutLayer;

use crate::{AppState, middleware, pages, routes};

/// Path of the orchestrator's webhook. Signed, so it needs no protection against forged requests.
pub(crate) const WEBHOOK: &str = "/webhooks/orchestrator";

/// No request takes longer: a turn is started in milliseconds and never streamed through here.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// All of the server. Tests call it as it is; [`crate::serve`] puts it on a socket.
pub fn router(state: AppState) -> Router {
    let routes = Router::new()
        .route("/healthz", get(routes::health::healthz))
        .route("/readyz", get(routes::health::readyz))
        .route(WEBHOOK, post(routes::webhook::receive))
        .merge(routes::server_functions::router())
        .merge(pages::router())
        .fallback(routes::assets::serve)
        .with_state(state.clone());
    let routes = guarded(routes, &state);
    observed(routes, &state)
}

/// What refuses a request. Two stacks rather than one: the type of a single one takes long to compile.
fn guarded(routes: Router, state: &AppState) -> Router {
    use axum::middleware::from_fn_with_state;
    routes.layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(state.clone(), middleware::check_host))
            .layer(from_fn_with_state(state.clone(), middleware::client_address))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
            .layer(CsrfLayer::new().with_insecure_bypass(|_, uri| uri.path() == WEBHOOK)),
    )
}

/// What every response carries, refusals included.
fn observed(routes: Router, state: &AppState) -> Router {
    use axum::middleware::{from_fn, from_fn_with_state};
    routes.layer(
        ServiceBuilder::new()
            .layer(from_fn(middleware::request_id))
            .layer(from_fn_with_state(state.clone(), middleware::trace))
            .layer(from_fn(middleware::log_request))
            .layer(from_fn_with_state(state.clone(), middleware::security_headers))
            .layer(from_fn(middleware::panic_answer))
            .layer(CatchPanicLayer::custom(middleware::Panicked)),
    )
}
