//! Questions that have one answer on every machine.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use super::{App, Shared, extract::Path, refusals::NO_CRIU};
use crate::{clock::iso, error::ApiError, sidecar::HOME};

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
        .route("/permissions/users/{*rest}", get(nobody))
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
    Ok(Json(json!({"users": [agent(&app, &id)?]})))
}

async fn user(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    agent(&app, &id).map(Json)
}

/// It may do everything in the sandbox.
async fn policies(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Ok(Json(json!({"rules": [{"pattern": "**", "permission": "write"}]})))
}

/// Clients that ask for somebody take this for an answer, and a refusal for a failure.
async fn nobody(
    State(app): Shared,
    Path((id, user)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Err(ApiError::not_found("user", &user))
}

/// It is there for as long as its sandbox.
fn agent(app: &App, id: &str) -> Result<Value, ApiError> {
    let created_at = iso(app.sandboxes.get(id)?.row.created_at);
    Ok(json!({
        "userId": "agent",
        "username": "agent",
        "homeDir": HOME,
        "role": "owner",
        "sshKeys": [],
        "createdAt": created_at,
    }))
}
