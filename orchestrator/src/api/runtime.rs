//! Commands and files of a sandbox. A stopped one is resumed first.

use axum::{Json as JsonBody, extract::State};
use sandbox_sdk::types::{Exec, ReadFile, WriteFile};
use serde_json::{Value, json};

use super::{
    FILE_LIMIT, Shared,
    extract::{Json, Path},
};
use crate::error::ApiError;

pub(super) async fn exec(
    State(app): Shared,
    Path(id): Path<String>,
    Json(exec): Json<Exec>,
) -> Result<JsonBody<Value>, ApiError> {
    let lease = app.sandboxes.lease(&id).await?;
    let result = lease.sidecar().exec(&exec).await?;
    Ok(JsonBody(json!({"success": true, "result": result})))
}

pub(super) async fn read(
    State(app): Shared,
    Path(id): Path<String>,
    Json(read): Json<ReadFile>,
) -> Result<JsonBody<Value>, ApiError> {
    let lease = app.sandboxes.lease(&id).await?;
    let content = lease.sidecar().read(&read).await?;
    Ok(JsonBody(json!({"success": true, "data": content})))
}

pub(super) async fn write(
    State(app): Shared,
    Path(id): Path<String>,
    Json(write): Json<WriteFile, FILE_LIMIT>,
) -> Result<JsonBody<Value>, ApiError> {
    let lease = app.sandboxes.lease(&id).await?;
    let size = lease.sidecar().write(&write).await?;
    Ok(JsonBody(json!({"success": true, "data": {"path": write.path, "size": size}})))
}

pub(super) async fn health(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Value>, ApiError> {
    let lease = app.sandboxes.lease(&id).await?;
    let health = lease.sidecar().health().await?;
    Ok(JsonBody(json!({"success": true, "data": health})))
}
