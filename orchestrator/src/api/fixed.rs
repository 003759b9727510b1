//! Questions that have one answer on every machine.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use super::{App, Shared, extract::Path, refusals::NO_CRIU};
use crate::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/system/criu-status", get(criu_status))
        .route("/v1/sandboxes/{id}/checkpoints", get(checkpoints))
}

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new()
        .route("/permissions/users", get(users))
        .route("/permissions/users/agent", get(user))
        .route("/permissions/users/agent/policies", get(policies))
}

async fn criu_status() -> Json<Value> {
    Json(json!({"available": false, "reason": NO_CRIU}))
}

/// None can be made, so there are none.
async fn checkpoints(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Ok(Json(json!({"checkpoints": []})))
}

/// The one user that everything in a sandbox runs as.
async fn users(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Ok(Json(json!({"users": [agent()]})))
}

async fn user(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Ok(Json(agent()))
}

/// It may do everything in the sandbox.
async fn policies(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Ok(Json(json!({"rules": [{"pattern": "**", "permission": "write"}]})))
}

fn agent() -> Value {
    json!({"userId": "agent", "username": "agent", "role": "owner"})
}
