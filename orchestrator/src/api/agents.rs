//! What turns can be run with.

use axum::{Json, extract::State};
use sandbox_sdk::types::AgentCatalog;

use super::Shared;

/// Agents and models that are available now. The providers' lists may be a minute old.
pub(super) async fn catalog(State(app): Shared) -> Json<AgentCatalog> {
    Json(app.models.catalog().await)
}
