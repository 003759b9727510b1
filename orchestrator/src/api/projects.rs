//! `/projects`: the orchestrator's older words for sandboxes.

use std::sync::Arc;

use axum::{
    Json as JsonBody, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use sandbox_sdk::types::{CreateProject, CreateSandbox, Extra};
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{Json, Path},
    sandboxes, view,
};
use crate::{error::ApiError, flaw::Flaw, sandboxes::Order};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/projects", post(create))
        .route("/projects/{id}", axum::routing::get(get).delete(sandboxes::delete))
}

/// The same `projectRef` again is a look-up, and so is the same idempotency key.
async fn create(
    State(app): Shared,
    headers: HeaderMap,
    Json(project): Json<CreateProject>,
) -> Result<(StatusCode, JsonBody<Value>), ApiError> {
    if project.project_ref.as_deref().is_some_and(|id| !is_project_ref(id)) {
        return Err(ApiError::invalid(
            "projectRef must be 1 to 64 characters of [a-z0-9-] and begin with a letter or digit",
        ));
    }
    let id = project.project_ref.clone();
    let mut request = request(project)?;
    sandboxes::read_key(&headers, &mut request)?;
    let order = Order { id: id.clone(), request: request.clone(), ..Order::default() };
    let (snapshot, new) = app.make(order).await?;
    let mut project = app.project(&snapshot);
    if !new {
        view::warn(&mut project.extra, snapshot.differs_from(id.as_deref(), &request));
    }
    let outcome = if new { "created" } else { "idempotent_replay" };
    project.extra.insert("outcome".to_owned(), outcome.into());
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(json!({"project": project}))))
}

/// The project's sandbox in the words of `/v1/sandboxes`. Its fields may stand in a `config`, in
/// the project itself and in its container, whose variables are added; what comes later counts.
fn request(project: CreateProject) -> Result<CreateSandbox, ApiError> {
    let CreateProject { container, backend, mut extra, .. } = project;
    let mut fields = match extra.remove("config") {
        None | Some(Value::Null) => Extra::new(),
        Some(Value::Object(config)) => config,
        Some(_) => return Err(ApiError::invalid("config must be an object")),
    };
    fields.extend(extra);
    fields.extend(container.extra);
    let mut request: CreateSandbox = serde_path_to_error::deserialize(Value::from(fields))
        .map_err(|found| ApiError::flawed("body", &Flaw::of_json(&found)))?;
    request.image = container.image.or(request.image);
    request.env.extend(container.env);
    request.backend = backend.or(request.backend);
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

    #[test]
    fn a_field_means_the_same_wherever_in_a_project_it_stands() {
        let fields = json!({
            "name": "a", "env": {"A": "1"}, "secrets": ["S"], "maxLifetimeSeconds": 60,
            "resources": {"memory": 256}, "flavour": "sweet",
        });
        let flat: CreateSandbox = serde_json::from_value(fields.clone()).unwrap();
        for project in [fields.clone(), json!({"config": fields}), json!({"container": fields})] {
            let project = serde_json::from_value(project).unwrap();
            assert_eq!(request(project).unwrap(), flat);
        }
        let all = json!({
            "config": {"name": "config", "idleTimeoutSeconds": 1, "secrets": ["C"]},
            "name": "project", "idleTimeoutSeconds": 2,
            "container": {"name": "container"},
        });
        let request = request(serde_json::from_value(all).unwrap()).unwrap();
        assert_eq!(request.name.as_deref(), Some("container"));
        assert_eq!((request.idle_timeout_seconds, request.secrets.len()), (Some(2), 1));
        assert!(request.extra.is_empty());
    }
}
