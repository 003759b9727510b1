//! Commands of a sandbox.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, routing::post};
use sandbox_sdk::types::Exec;
use serde_json::{Value, json};

use super::super::{
    App, Shared,
    extract::{Json, Path},
};
use crate::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/terminals/commands", post(exec))
}

/// A client that goes away ends its command.
async fn exec(
    State(app): Shared,
    Path(id): Path<String>,
    Json(exec): Json<Exec>,
) -> Result<JsonBody<Value>, ApiError> {
    let lease = app.sandboxes.lease(&id).await?;
    let result = lease.sidecar().exec(&exec).await?;
    Ok(JsonBody(json!({"success": true, "result": result})))
}
