//! What a sandbox offers, at its own address and below the product's. A stopped one is resumed
//! first.

mod agents;
mod commands;
mod files;
mod git;
mod processes;
mod search;
mod snapshots;
mod terminals;
mod tools;

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, routing::get};
use serde_json::{Value, json};

use super::{App, Shared, extract::Path, fixed, interactions, refusals, runs, sessions, sse};
use crate::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health))
        .merge(commands::routes())
        .merge(processes::routes())
        .merge(terminals::routes())
        .merge(files::routes())
        .merge(snapshots::routes())
        .merge(git::routes())
        .merge(search::routes())
        .merge(tools::routes())
        .merge(agents::routes())
        .merge(sessions::in_sandbox())
        .merge(runs::in_sandbox())
        .merge(sse::in_sandbox())
        .merge(interactions::in_sandbox())
        .merge(fixed::in_sandbox())
        .merge(refusals::routes(refusals::IN_SANDBOX))
}

async fn health(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let lease = app.sandboxes.lease(&id).await?;
    let health = lease.sidecar().health().await?;
    Ok(JsonBody(json!({"success": true, "data": health})))
}
