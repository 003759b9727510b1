//! `/v1/sandboxes`

use axum::{
    Json as JsonBody,
    extract::{RawQuery, State},
    http::StatusCode,
};
use sandbox_sdk::types::{CreateSandbox, Sandbox, SandboxStatus};
use serde_json::{Value, json};

use super::{
    Shared,
    extract::{OptionalJson, Path},
};
use crate::{error::ApiError, turns::Stop};

/// Sandboxes of one answer, unless fewer are asked for.
const MAX_LIST: usize = 200;

pub(super) async fn create(
    State(app): Shared,
    OptionalJson(request): OptionalJson<CreateSandbox>,
) -> Result<(StatusCode, JsonBody<Sandbox>), ApiError> {
    let (snapshot, new) = app.sandboxes.create(None, request).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(app.sandbox(snapshot))))
}

/// `?status=` may come several times.
pub(super) async fn list(
    State(app): Shared,
    RawQuery(query): RawQuery,
) -> Result<JsonBody<Value>, ApiError> {
    let (mut statuses, mut limit, mut offset) = (Vec::new(), MAX_LIST, 0);
    let query = query.unwrap_or_default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let number = || {
            let number = value.parse::<usize>();
            number.map_err(|_| ApiError::invalid(format!("{name} must be a whole number")))
        };
        match name {
            "status" => statuses.push(SandboxStatus::from(value)),
            "limit" => limit = number()?.min(MAX_LIST),
            "offset" => offset = number()?,
            _ => {}
        }
    }
    let found = app.sandboxes.list(&statuses).into_iter().skip(offset).take(limit);
    let found: Vec<_> = found.map(|snapshot| app.sandbox(snapshot)).collect();
    Ok(JsonBody(json!({"sandboxes": found})))
}

pub(super) async fn get(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Sandbox>, ApiError> {
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

pub(super) async fn stop(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Sandbox>, ApiError> {
    app.sandboxes.get(&id)?;
    app.turns.stop_sandbox(&id, Stop::sandbox_stopped()).await;
    Ok(JsonBody(app.sandbox(app.sandboxes.stop(&id).await?)))
}

pub(super) async fn resume(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Sandbox>, ApiError> {
    drop(app.sandboxes.lease(&id).await?);
    Ok(JsonBody(app.sandbox(app.sandboxes.get(&id)?)))
}

/// What isolates the sandbox, and how hard its limits are.
pub(super) async fn driver(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Value>, ApiError> {
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
