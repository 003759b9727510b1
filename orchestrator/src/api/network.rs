//! `…/network`: what a sandbox may reach, and which of its ports can be reached.

use std::sync::Arc;

use axum::{
    Json as JsonBody, Router,
    extract::State,
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    App, Shared,
    extract::{Json, Path},
};
use crate::{
    error::ApiError,
    network::{Entry, Policy},
    sandboxes::{NetworkAsk, check_port},
};

/// At the place that clients know, and beside a sandbox's other routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/sidecars/{id}/network", get(show).patch(change))
        .route("/v1/sidecars/{id}/network/expose", post(expose))
        .route("/v1/sidecars/{id}/network/expose/{port}", delete(close))
        .route("/v1/sidecars/{id}/network/urls", get(urls))
        .route("/v1/sandboxes/{id}/network", get(show).patch(change))
        .route("/v1/sandboxes/{id}/network/expose", post(expose))
        .route("/v1/sandboxes/{id}/network/expose/{port}", delete(close))
        .route("/v1/sandboxes/{id}/network/urls", get(urls))
}

#[derive(Deserialize)]
struct Expose {
    port: u64,
}

impl App {
    async fn network(&self, id: &str) -> Result<JsonBody<Value>, ApiError> {
        let policy = self.sandboxes.network(id)?;
        let entries: Vec<&str> = match &policy {
            Policy::List(entries) => entries.iter().map(Entry::text).collect(),
            Policy::None | Policy::Open => Vec::new(),
        };
        let ports = self.sandboxes.exposed(id).await?;
        let ports: Vec<u16> = ports.iter().map(|exposed| exposed.port).collect();
        Ok(JsonBody(json!({
            "blockOutbound": policy == Policy::None,
            "allowList": entries,
            "ports": ports,
        })))
    }
}

async fn show(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    app.network(&id).await
}

/// Holds at once: what stands open and is not permitted any more is cut.
async fn change(
    State(app): Shared,
    Path(id): Path<String>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<JsonBody<Value>, ApiError> {
    if let Some(field) = NetworkAsk::unknown(&fields) {
        let field: String = field.chars().take(64).collect();
        return Err(ApiError::invalid(format!("{field:?} is no field of a network")));
    }
    let asked = NetworkAsk::read(&fields)?;
    // In a task of its own: a caller that goes away must not leave a closed port in use.
    let changed = tokio::spawn(async move {
        for key in app.sandboxes.change_network(&id, asked).await? {
            app.ports.cut(key);
        }
        app.network(&id).await
    });
    changed.await.map_err(|error| ApiError::internal(&error))?
}

async fn expose(
    State(app): Shared,
    Path(id): Path<String>,
    Json(asked): Json<Expose>,
) -> Result<JsonBody<Value>, ApiError> {
    let port = check_port(asked.port)?;
    // In a task of its own, as above: what is opened is told of.
    let exposed = tokio::spawn(async move {
        let exposed = app.sandboxes.expose(&id, port).await?;
        Ok(JsonBody(json!({"port": exposed.port, "url": app.ports.url(&exposed)})))
    });
    exposed.await.map_err(|error| ApiError::internal(&error))?
}

async fn close(
    State(app): Shared,
    Path((id, port)): Path<(String, u16)>,
) -> Result<JsonBody<Value>, ApiError> {
    // In a task of its own, as above.
    let closed = tokio::spawn(async move {
        let Some(key) = app.sandboxes.unexpose(&id, port).await? else {
            return Err(ApiError::not_found("port", &port.to_string()));
        };
        app.ports.cut(key);
        Ok(JsonBody(json!({"success": true})))
    });
    closed.await.map_err(|error| ApiError::internal(&error))?
}

async fn urls(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let exposed = app.sandboxes.exposed(&id).await?;
    let urls: Map<String, Value> = exposed
        .iter()
        .map(|exposed| (exposed.port.to_string(), app.ports.url(exposed).into()))
        .collect();
    Ok(JsonBody(json!({"urls": urls})))
}
