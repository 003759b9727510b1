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
use crate::{error::ApiError, sandboxes::Order};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/projects", post(create))
        .route("/projects/{id}", axum::routing::get(get).delete(sandboxes::delete))
}

/// The same `projectRef` again is a look-up.
async fn create(
    State(app): Shared,
    Json(project): Json<CreateProject>,
) -> Result<(StatusCode, JsonBody<Value>), ApiError> {
    if project.project_ref.as_deref().is_some_and(|id| !is_project_ref(id)) {
        return Err(ApiError::invalid(
            "projectRef must be 1 to 64 characters of [a-z0-9-] and begin with a letter or digit",
        ));
    }
    let id = project.project_ref.clone();
    let order = Order { id, request: request(project)?, ..Order::default() };
    let (snapshot, new) = app.make(order).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(json!({"project": app.project(&snapshot)}))))
}

/// The project's sandbox in the words of `/v1/sandboxes`. A `config` beside the container is read in
/// them; the container counts.
fn request(project: CreateProject) -> Result<CreateSandbox, ApiError> {
    let CreateProject { container, backend, mut extra, .. } = project;
    let config = extra.remove("config").filter(|config| !config.is_null());
    // The parser's own words may quote a secret.
    let config = config.map(serde_json::from_value::<CreateSandbox>).transpose();
    let config = config.map_err(|_| ApiError::invalid("config is not valid"))?;
    let mut request = config.unwrap_or_default();
    request.image = container.image.or(request.image);
    request.env.extend(container.env);
    request.backend = backend.or(request.backend);
    request.extra.extend(extra);
    request.extra.extend(container.extra);
    Ok(request)
}

async fn get(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    Ok(JsonBody(json!({"project": app.project(&app.sandboxes.get(&id)?)})))
}

/// It becomes the name of a folder.
fn is_project_ref(id: &str) -> bool {
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&id.len()) && id.chars().all(named) && !id.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_with_its_container_and_its_config() {
        let project = json!({
            "projectRef": "a", "tier": "pro", "backend": {"type": "demo"},
            "container": {"image": "one", "env": {"A": "1"}, "mounts": ["/"]},
            "config": {"image": "two", "env": {"A": "2", "B": "2"}, "resources": {"cpu": 1, "memory": 256}},
        });
        let request = request(serde_json::from_value(project).unwrap()).unwrap();
        assert_eq!(request.image.as_deref(), Some("one"));
        assert_eq!((request.env["A"].as_str(), request.env["B"].as_str()), ("1", "2"));
        assert_eq!(request.backend.unwrap().kind.as_deref(), Some("demo"));
        assert_eq!(request.resources.unwrap().memory_mb, Some(256));
        // Refused or named later, like every other field.
        assert!(request.extra.contains_key("mounts") && request.extra.contains_key("tier"));
        let bad = json!({"config": {"env": {"TOKEN": ["secret"]}}});
        let refused = super::request(serde_json::from_value(bad).unwrap()).unwrap_err();
        assert!(!format!("{refused:?}").contains("secret"));
    }
}
