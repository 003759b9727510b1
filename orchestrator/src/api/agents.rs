//! What turns can be run with, and what runs the sandboxes.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use sandbox_sdk::types::{AgentCatalog, AgentInfo};
use serde_json::{Value, json};

use super::{App, Shared, extract::Path};
use crate::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/agents", get(catalog))
        .route("/v1/backends", get(backends))
        .route("/v1/backends/{type}", get(backend))
        .route("/drivers", get(drivers))
}

/// Agents and models that are available now. The providers' lists may be a minute old.
async fn catalog(State(app): Shared) -> Json<AgentCatalog> {
    Json(app.models.catalog().await)
}

/// The agents alone, under the name that a request gives them.
async fn backends(State(app): Shared) -> Json<Value> {
    let catalog = app.models.catalog().await;
    let backends: Vec<_> = catalog.agents.iter().map(as_backend).collect();
    Json(json!({"backends": backends, "default": catalog.default_agent}))
}

async fn backend(State(app): Shared, Path(kind): Path<String>) -> Result<Json<Value>, ApiError> {
    let catalog = app.models.catalog().await;
    let found = catalog.agents.iter().find(|agent| agent.id == kind);
    found.map(as_backend).map(Json).ok_or_else(|| ApiError::not_found("backend", &kind))
}

fn as_backend(agent: &AgentInfo) -> Value {
    json!({
        "type": agent.id,
        "name": agent.name,
        "version": agent.version,
        "available": agent.available,
        "problem": agent.problem,
        "formats": agent.formats,
    })
}

/// The drivers that may be asked for, the default first, and which of the protocol's features they
/// have.
async fn drivers(State(app): Shared) -> Json<Value> {
    let drivers = app.sandboxes.drivers().await.into_iter().map(|(kind, report)| {
        let (version, reason) = match &report {
            Ok(report) => (Some(&report.version), None),
            Err(error) => (None, Some(error.to_string())),
        };
        json!({
            "type": kind.protocol_type(),
            "kind": kind,
            "available": report.is_ok(),
            "reason": reason,
            "version": version,
            "capabilities": {
                // Processes are not frozen: a stopped sandbox keeps its files.
                "suspend": false,
                "snapshots": true,
                "volumes": false,
                "networks": false,
                "multiHost": false,
                "userManagement": false,
                "metrics": true,
                "migration": false,
            },
        })
    });
    Json(json!({"drivers": drivers.collect::<Vec<_>>()}))
}
