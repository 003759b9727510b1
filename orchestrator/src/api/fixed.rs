//! Questions that have one answer on every machine.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use sandbox_sdk::types::ErrorCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{self, Path},
    refusals::NO_CRIU,
};
use crate::{
    clock::iso,
    error::ApiError,
    sidecar::{HOME, resolve_path},
};

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
        .route("/permissions/users/agent/check", post(check))
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

#[derive(Deserialize)]
struct Wish {
    path: String,
    /// What may be read may be written, and run.
    #[serde(rename = "action")]
    _action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Read,
    Write,
    Execute,
}

/// Whether the file routes take a path. What lies there does not matter, nor whether anything does.
async fn check(
    State(app): Shared,
    Path(id): Path<String>,
    extract::Json(wish): extract::Json<Wish>,
) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    let allowed = match resolve_path(&wish.path) {
        Ok(_) => true,
        Err(problem) if problem.code == ErrorCode::Forbidden => false,
        Err(problem) => return Err(ApiError::invalid(problem.message)),
    };
    Ok(Json(json!({"allowed": allowed})))
}

/// Clients that ask for somebody take this for an answer, and a refusal for a failure.
async fn nobody(
    State(app): Shared,
    Path((id, rest)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    let user = rest.split('/').next().unwrap_or_default();
    Err(ApiError::not_found("user", user))
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
