//! What turns can be run with.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use sandbox_sdk::types::AgentCatalog;

use super::{App, Shared};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/agents", get(catalog))
}

/// Agents and models that are available now. The providers' lists may be a minute old.
async fn catalog(State(app): Shared) -> Json<AgentCatalog> {
    Json(app.models.catalog().await)
}
