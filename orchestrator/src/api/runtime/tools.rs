//! Tools that somebody wants listed, installed or run. What is there already needs no installing;
//! nothing else can be had, and that is said.

use std::{sync::Arc, time::Duration};

use axum::{
    Json as JsonBody, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    App, Shared,
    extract::{BODY_LIMIT, Json, Path},
    forward::{Bounds, Forward},
};
use crate::{
    error::ApiError,
    toolchain::{self, Tool},
};

/// Arguments, and two full outputs of control characters. It takes as long as a command may.
const RUN: Bounds = Bounds {
    body: BODY_LIMIT as u64,
    answer: 32 << 20,
    patience: Duration::from_secs(3620),
    setting: None,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/tools", get(list))
        .route("/tools/install", post(have))
        .route("/tools/use", post(have))
        .route("/tools/run", post(run))
}

#[derive(Deserialize)]
struct Wanted {
    tool: String,
    #[serde(default)]
    version: String,
}

/// Each in the one version there is.
async fn list(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let tools = match inside(&app, &id).await? {
        Some(tools) => tools,
        None => toolchain::list().await,
    };
    let tools = tools.into_iter().map(|tool| {
        let (name, version, path) = (tool.name, tool.version, tool.path);
        json!({"name": name, "version": version, "path": path, "active": true})
    });
    Ok(JsonBody(json!({"tools": tools.collect::<Vec<_>>()})))
}

async fn have(
    State(app): Shared,
    Path(id): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<JsonBody<Value>, ApiError> {
    let there = match inside(&app, &id).await? {
        Some(tools) => toolchain::check_among(&tools, &wanted.tool, &wanted.version),
        None => toolchain::check(&wanted.tool, &wanted.version).await,
    };
    let version = there.map_err(|reason| ApiError::not_implemented("tools", &reason))?;
    Ok(JsonBody(json!({"success": true, "tool": wanted.tool, "version": version})))
}

/// The tools of the sandbox's image, which it is resumed for if it has to. `None`: it has none, and
/// sees this machine's own.
async fn inside(app: &App, id: &str) -> Result<Option<Vec<Tool>>, ApiError> {
    if !app.sandboxes.is_container(id)? {
        return Ok(None);
    }
    let lease = app.sandboxes.lease(id).await?;
    let told = lease.sidecar().exec(toolchain::inside::question()).await?;
    Ok(Some(toolchain::inside::told(&told.stdout)))
}

async fn run(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/tools/run", RUN).await
}
