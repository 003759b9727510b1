//! The REST API: sandboxes, projects, sessions, and each sandbox's own surface.

mod agents;
mod extract;
mod guard;
mod interactions;
mod layers;
mod projects;
mod runtime;
mod sandboxes;
mod sessions;
mod sse;
mod view;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, get, post, put},
};
use serde_json::json;
use tower_http::{catch_panic::CatchPanicLayer, timeout::RequestBodyTimeoutLayer};

use crate::{
    error::ApiError,
    gateway::{self, Gateway},
    log::EventLog,
    models::ModelGateway,
    sandboxes::Sandboxes,
    store::Store,
    turns::Turns,
};
pub(crate) use guard::Keys;

/// Largest body of a dispatch: a long prompt.
const DISPATCH_LIMIT: usize = 2 * 1024 * 1024;
/// Largest body of a file: 16 MiB of content and what base64 and JSON add.
const FILE_LIMIT: usize = 24 * 1024 * 1024;
/// A client that sends nothing of its body for this long is not served.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// What the routes work with.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) logs: EventLog,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) models: ModelGateway,
    pub(crate) turns: Turns,
    pub(crate) gateway: Gateway,
    pub(crate) keys: Keys,
    /// Base URL of this orchestrator, without a slash at its end.
    pub(crate) base_url: String,
}

pub(crate) type Shared = State<Arc<App>>;

/// All routes, with what every answer needs.
pub(crate) fn router(app: Arc<App>) -> Router {
    let product = Router::new()
        .route("/v1/sandboxes", post(sandboxes::create).get(sandboxes::list))
        .route("/v1/sandboxes/{id}", get(sandboxes::get).delete(sandboxes::delete))
        .route("/v1/sandboxes/{id}/stop", post(sandboxes::stop))
        .route("/v1/sandboxes/{id}/resume", post(sandboxes::resume))
        .route("/v1/sandboxes/{id}/driver", get(sandboxes::driver))
        .route("/v1/agents", get(agents::catalog))
        .route("/projects", post(projects::create))
        .route("/projects/{id}", get(projects::get).delete(sandboxes::delete))
        .route("/v1/session/{sid}/mapping", put(sessions::map))
        .nest("/v1/sandboxes/{id}/runtime", sidecar_surface())
        .route_layer(from_fn_with_state(app.clone(), guard::product));
    let sidecar = Router::new()
        .nest("/sidecar/{id}", sidecar_surface())
        .route_layer(from_fn_with_state(app.clone(), guard::sidecar));
    Router::new()
        .route("/health", get(health))
        .route("/session", any(gateway::upgrade))
        .merge(product)
        .merge(sidecar)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(RequestBodyTimeoutLayer::new(BODY_PATIENCE))
        .layer(from_fn(layers::envelope))
        .layer(CatchPanicLayer::custom(layers::after_panic))
        .layer(from_fn(layers::trace))
        .with_state(app)
}

/// What a sandbox offers, at its own address and below the product's.
fn sidecar_surface() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(runtime::health))
        .route("/terminals/commands", post(runtime::exec))
        .route("/files/read", post(runtime::read))
        .route("/files/write", post(runtime::write))
        .route("/prompt", post(sessions::prompt))
        .route("/agents/sessions/{sid}", get(sessions::status))
        .route("/agents/sessions/{sid}/turns/{turn}", get(sessions::turn))
        .route("/agents/sessions/{sid}/events", get(sse::events))
        .route("/agents/sessions/{sid}/abort", post(sessions::abort))
        .route("/agents/sessions/{sid}/messages", post(sessions::dispatch))
        .route(
            "/agents/sessions/{sid}/interactions",
            get(interactions::list).post(interactions::answer),
        )
        .route("/agents/sessions/{sid}/interactions/{request}", post(interactions::answer_one))
}

async fn health(State(app): Shared) -> Result<axum::Json<serde_json::Value>, ApiError> {
    app.store.ping().await?;
    Ok(axum::Json(json!({"status": "ok", "epoch": app.logs.epoch()})))
}

async fn unknown_route(uri: axum::http::Uri) -> ApiError {
    ApiError::not_found("route", uri.path())
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        sandbox_sdk::types::ErrorCode::MethodNotAllowed,
        "This route does not take that method.",
    )
}
