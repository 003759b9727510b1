//! `/projects`: the orchestrator's older words for sandboxes.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, http::StatusCode, routing::post};
use sandbox_sdk::types::{CreateProject, CreateSandbox};
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{Json, Path},
    sandboxes,
};
use crate::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/projects", post(create))
        .route("/projects/{id}", axum::routing::get(get).delete(sandboxes::delete))
}

/// The same `projectRef` again is a look-up.
async fn create(
    State(app): Shared,
    Json(request): Json<CreateProject>,
) -> Result<(StatusCode, JsonBody<Value>), ApiError> {
    if request.project_ref.as_deref().is_some_and(|id| !is_project_ref(id)) {
        return Err(ApiError::invalid(
            "projectRef must be 1 to 64 characters of [a-z0-9-] and begin with a letter or digit",
        ));
    }
    let container = request.container;
    let sandbox =
        CreateSandbox { image: container.image, env: container.env, ..CreateSandbox::default() };
    let (snapshot, new) = app.sandboxes.create(request.project_ref, sandbox).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(json!({"project": app.project(snapshot)}))))
}

async fn get(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    Ok(JsonBody(json!({"project": app.project(app.sandboxes.get(&id)?)})))
}

/// It becomes the name of a folder.
fn is_project_ref(id: &str) -> bool {
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&id.len()) && id.chars().all(named) && !id.starts_with('-')
}
