//! The REST API: sandboxes, projects, sessions, and each sandbox's own surface.

mod account;
mod agents;
mod batch;
mod cors;
mod extract;
mod fixed;
mod forward;
mod guard;
mod interactions;
mod layers;
mod metrics;
mod network;
mod openapi;
#[cfg(test)]
mod paths;
mod projects;
mod rates;
mod refusals;
mod runs;
mod runtime;
mod sandboxes;
mod secrets;
mod sessions;
mod snapshots;
mod sse;
mod tokens;
mod view;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use serde_json::json;
use tower_http::{catch_panic::CatchPanicLayer, timeout::RequestBodyTimeoutLayer};

use crate::{
    error::ApiError,
    gateway::{self, Gateway},
    log::EventLog,
    metrics::Metrics,
    models::ModelGateway,
    ports::{self, Ports},
    sandboxes::Sandboxes,
    snapshots::Snapshots,
    store::Store,
    turns::Turns,
    vault::Vault,
};
pub(crate) use account::Calls;
pub(crate) use batch::Batches;
pub(crate) use guard::Keys;
pub(crate) use rates::{RateLimits, Rates};

/// Largest body of a dispatch: a long prompt.
const DISPATCH_LIMIT: usize = 2 * 1024 * 1024;
/// A client that sends nothing of its body for this long is not served.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// What the routes work with.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) logs: EventLog,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) vault: Vault,
    pub(crate) snapshots: Snapshots,
    pub(crate) models: ModelGateway,
    pub(crate) turns: Turns,
    pub(crate) batches: Batches,
    pub(crate) gateway: Gateway,
    pub(crate) keys: Keys,
    pub(crate) ports: Ports,
    pub(crate) calls: Calls,
    pub(crate) rates: Rates,
    pub(crate) metrics: Metrics,
    /// Bytes of the largest upload or download.
    pub(crate) max_transfer: u64,
    /// Base URL of this orchestrator, without a slash at its end.
    pub(crate) base_url: String,
}

pub(crate) type Shared = State<Arc<App>>;

/// All routes, with what every answer needs.
pub(crate) fn router(app: Arc<App>) -> Router {
    let product = Router::new()
        .merge(agents::routes())
        .merge(sandboxes::routes())
        .merge(snapshots::routes())
        .merge(batch::routes())
        .merge(secrets::routes())
        .merge(account::routes())
        .merge(projects::routes())
        .merge(network::routes())
        .merge(sessions::routes())
        .merge(tokens::routes())
        .merge(fixed::routes())
        .merge(metrics::routes())
        .merge(refusals::routes(refusals::API))
        .nest("/v1/sandboxes/{id}/runtime", runtime::routes())
        .route_layer(from_fn_with_state(app.clone(), guard::product));
    let sidecar = Router::new()
        .nest("/sidecar/{id}", runtime::routes())
        .route_layer(from_fn_with_state(app.clone(), guard::sidecar));
    // Pages use this one: what they ask for before is answered without a token. The fallback stands
    // below the layer, or that would not see what browsers ask for.
    let sidecar_proxy = Router::new()
        .nest("/v1/sidecar-proxy/{id}", runtime::routes())
        .route_layer(from_fn_with_state(app.clone(), guard::sidecar))
        .method_not_allowed_fallback(wrong_method)
        .layer(cors::layer(app.gateway.origins()));
    Router::new()
        .route("/health", get(health))
        .route("/session", get(gateway::upgrade))
        .merge(openapi::routes(&app.base_url))
        .merge(product)
        .merge(sidecar)
        .merge(sidecar_proxy)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(RequestBodyTimeoutLayer::new(BODY_PATIENCE))
        .layer(from_fn(layers::envelope))
        .layer(CatchPanicLayer::custom(layers::after_panic))
        .layer(from_fn(layers::kept_nowhere))
        .layer(from_fn(layers::trace))
        .layer(from_fn_with_state(app.clone(), metrics::observe))
        // Before all that is the API's: a port's origin is none of it.
        .layer(from_fn_with_state(app.clone(), ports::by_host))
        .with_state(app)
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
