//! Tools that somebody wants installed. What is there already needs no installing; nothing else can
//! be had, and that is said.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    App, Shared,
    extract::{Json, Path},
};
use crate::{error::ApiError, toolchain};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/tools/install", post(have)).route("/tools/use", post(have))
}

#[derive(Deserialize)]
struct Wanted {
    tool: String,
    #[serde(default)]
    version: String,
}

async fn have(
    State(app): Shared,
    Path(id): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<JsonBody<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    let there = toolchain::check(&wanted.tool, &wanted.version).await;
    let version = there.map_err(|reason| ApiError::not_implemented("tools", &reason))?;
    Ok(JsonBody(json!({"success": true, "tool": wanted.tool, "version": version})))
}
