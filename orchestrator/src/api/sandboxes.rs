//! `/v1/sandboxes`

use std::sync::Arc;

use axum::{
    Json as JsonBody, Router,
    extract::State,
    http::StatusCode,
    routing::{self, post},
};
use sandbox_sdk::types::{CreateSandbox, Sandbox, SandboxStatus};
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{OptionalJson, Path, Query},
};
use crate::{error::ApiError, turns::Stop};

/// Sandboxes of one answer, unless fewer are asked for.
const MAX_LIST: usize = 200;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/sandboxes", post(create).get(list))
        .route("/v1/sandboxes/{id}", routing::get(get).delete(delete))
        .route("/v1/sandboxes/{id}/stop", post(stop))
        .route("/v1/sandboxes/{id}/resume", post(resume))
        .route("/v1/sandboxes/{id}/driver", routing::get(driver))
}

async fn create(
    State(app): Shared,
    OptionalJson(request): OptionalJson<CreateSandbox>,
) -> Result<(StatusCode, JsonBody<Sandbox>), ApiError> {
    let (snapshot, new) = app.sandboxes.create(None, request).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(app.sandbox(snapshot))))
}

/// `?status=` may come several times. `total`: how many there are on all pages together.
async fn list(
    State(app): Shared,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<JsonBody<Value>, ApiError> {
    let (mut statuses, mut limit, mut offset) = (Vec::new(), MAX_LIST, 0);
    for (name, value) in query {
        let number = || {
            let number = value.parse::<usize>();
            number.map_err(|_| ApiError::invalid(format!("{name} must be a whole number")))
        };
        match name.as_str() {
            "status" => statuses.push(SandboxStatus::from(value.as_str())),
            "limit" => limit = number()?.min(MAX_LIST),
            "offset" => offset = number()?,
            _ => {}
        }
    }
    let found = app.sandboxes.list(&statuses);
    let total = found.len();
    let page = found.into_iter().skip(offset).take(limit);
    let page: Vec<_> = page.map(|snapshot| app.sandbox(snapshot)).collect();
    Ok(JsonBody(json!({"sandboxes": page, "total": total})))
}

async fn get(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Sandbox>, ApiError> {
    Ok(JsonBody(app.sandbox(app.sandboxes.get(&id)?)))
}

/// Ends the sandbox's turns, closes its viewers, then removes all there is of it.
pub(super) async fn delete(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Value>, ApiError> {
    let app = app.clone();
    // In a task of its own: a caller that goes away must not leave half a sandbox.
    let deleted = tokio::spawn(async move {
        app.sandboxes.condemn(&id).await?;
        let stop = Stop::interrupted("SANDBOX_DELETED", "The sandbox was deleted.");
        app.turns.stop_sandbox(&id, stop).await;
        for session in app.store.sessions_of(&id).await? {
            app.logs.forget(&session.id);
        }
        // Again, for viewers that came before the sessions were gone, and for sessions that did.
        for session in app.sandboxes.delete(&id).await? {
            app.logs.forget(&session);
        }
        Ok::<_, ApiError>(())
    });
    deleted.await.map_err(|error| ApiError::internal(&error))??;
    Ok(JsonBody(json!({"success": true})))
}

async fn stop(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Sandbox>, ApiError> {
    app.sandboxes.get(&id)?;
    app.turns.stop_sandbox(&id, Stop::sandbox_stopped()).await;
    Ok(JsonBody(app.sandbox(app.sandboxes.stop(&id).await?)))
}

async fn resume(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Sandbox>, ApiError> {
    drop(app.sandboxes.lease(&id).await?);
    Ok(JsonBody(app.sandbox(app.sandboxes.get(&id)?)))
}

/// What isolates the sandbox, and how hard its limits are.
async fn driver(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    let report = app.sandboxes.driver_report();
    Ok(JsonBody(json!({
        "type": report.kind,
        "available": true,
        "version": report.version,
        "capabilities": {
            "criu": false,
            "gpu": false,
            "vsock": false,
            "snapshots": false,
            "userManagement": false,
            "networkIsolation": true,
        },
        "report": report,
    })))
}
