//! Snapshots of a sandbox, in a bucket that comes with the request. Without one they are where the
//! product's own requests put them.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, routing::post};
use sandbox_sdk::types::{SnapshotStorage, TakeSnapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    App, Shared,
    extract::{Json, Path},
    snapshots::missing,
};
use crate::{
    clock::iso,
    error::ApiError,
    snapshots::{Kept, Place},
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/snapshots", post(take))
        .route("/snapshots/list", post(list))
        .route("/snapshots/restore", post(restore))
}

/// `projectId` names the snapshots' folder in the bucket; the sandbox's own id if it is missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    project_id: Option<String>,
    storage: Option<SnapshotStorage>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    /// The newest one if it is missing.
    snapshot_id: Option<String>,
    destination_path: Option<String>,
}

async fn take(
    State(app): Shared,
    Path(id): Path<String>,
    Json(asked): Json<Asked>,
) -> Result<JsonBody<Value>, ApiError> {
    let place = place(&app, &id, &asked)?;
    let Asked { tags, paths, .. } = asked;
    let request = TakeSnapshot { tags, paths, ..TakeSnapshot::default() };
    let kept = app.take_snapshot(&id, place, request).await?;
    let mut snapshot = shown(&kept);
    let warnings = kept.warnings();
    if !warnings.is_empty() {
        snapshot["warnings"] = json!(warnings);
    }
    Ok(JsonBody(json!({"success": true, "snapshot": snapshot})))
}

async fn list(
    State(app): Shared,
    Path(id): Path<String>,
    Json(asked): Json<Asked>,
) -> Result<JsonBody<Value>, ApiError> {
    let place = place(&app, &id, &asked)?;
    let list = app.snapshots.list(&place, &id).await?;
    let list: Vec<_> = list.iter().map(shown).collect();
    Ok(JsonBody(json!({"success": true, "snapshots": list})))
}

async fn restore(
    State(app): Shared,
    Path(id): Path<String>,
    Json(asked): Json<Asked>,
) -> Result<JsonBody<Value>, ApiError> {
    let place = place(&app, &id, &asked)?;
    let found = match &asked.snapshot_id {
        Some(snapshot) => {
            app.snapshots.find(&place, &id, snapshot).await.map_err(missing(snapshot))?
        }
        None => app.snapshots.newest(&place, &id).await?,
    };
    let kept = app.restore_snapshot(&id, found, asked.destination_path).await?;
    Ok(JsonBody(json!({"success": true, "snapshot": shown(&kept)})))
}

/// What a request does not bring a bucket for goes where the sandbox was made to keep it.
fn place(app: &App, id: &str, asked: &Asked) -> Result<Place, ApiError> {
    let sandbox = app.sandboxes.get(id)?;
    match &asked.storage {
        None => Ok(app.snapshots.place_of(&sandbox.request.extra, id)?),
        Some(storage) => {
            let project = asked.project_id.as_deref().unwrap_or(id);
            Ok(app.snapshots.place(Some(storage), project)?)
        }
    }
}

fn shown(kept: &Kept) -> Value {
    json!({
        "id": kept.id,
        "createdAt": iso(kept.created_at),
        "sizeBytes": kept.size,
        "tags": kept.tags,
        "paths": kept.paths,
    })
}
