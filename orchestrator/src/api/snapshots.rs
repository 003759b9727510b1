//! `/v1/sandboxes/{id}/snapshots`: the files of a sandbox, kept apart from it.
//!
//! They are where the sandbox was made to keep them: here, or in its caller's own bucket. Those that
//! are here can be listed and removed when the sandbox is long gone.

use std::sync::Arc;

use axum::{
    Json as JsonBody, Router,
    extract::State,
    routing::{self, post},
};
use sandbox_sdk::types::{SnapshotEntry, SnapshotTaken, TakeSnapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{OptionalJson, Path},
};
use crate::{
    clock::iso,
    error::ApiError,
    sandboxes::SandboxError,
    snapshots::{Found, Kept, Place, SnapshotError, Snapshots},
    unread,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/sandboxes/{id}/snapshot", post(take))
        .route("/v1/sandboxes/{id}/snapshots", routing::get(list))
        .route("/v1/sandboxes/{id}/snapshots/{snapshot}", routing::delete(remove))
        .route("/v1/sandboxes/{id}/snapshots/{snapshot}/restore", post(restore))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Restore {
    destination_path: Option<String>,
}

async fn take(
    State(app): Shared,
    Path(id): Path<String>,
    OptionalJson(request): OptionalJson<TakeSnapshot>,
) -> Result<JsonBody<SnapshotTaken>, ApiError> {
    let place = app.place(&id)?;
    let unread = unread::kept(&request.extra);
    let kept = app.take_snapshot(&id, place, request).await?;
    let mut warnings = kept.warnings();
    warnings.extend(unread::warnings(&unread));
    Ok(JsonBody(SnapshotTaken {
        snapshot_id: kept.id,
        created_at: iso(kept.created_at),
        size_bytes: Some(kept.size),
        tags: kept.tags,
        warnings,
    }))
}

async fn list(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let (place, is_there) = app.place_or_past(&id)?;
    let list = app.snapshots.list(&place, &id).await?;
    if list.is_empty() && !is_there {
        return Err(ApiError::not_found("sandbox", &id));
    }
    let list: Vec<_> = list.into_iter().map(|kept| entry(&id, kept)).collect();
    Ok(JsonBody(json!({"snapshots": list})))
}

async fn remove(
    State(app): Shared,
    Path((id, snapshot)): Path<(String, String)>,
) -> Result<JsonBody<Value>, ApiError> {
    let (place, _) = app.place_or_past(&id)?;
    app.snapshots.remove(&place, &id, &snapshot).await.map_err(missing(&snapshot))?;
    Ok(JsonBody(json!({"success": true})))
}

async fn restore(
    State(app): Shared,
    Path((id, snapshot)): Path<(String, String)>,
    OptionalJson(request): OptionalJson<Restore>,
) -> Result<JsonBody<Value>, ApiError> {
    let place = app.place(&id)?;
    let found = app.snapshots.find(&place, &id, &snapshot).await.map_err(missing(&snapshot))?;
    let kept = app.restore_snapshot(&id, found, request.destination_path).await?;
    Ok(JsonBody(json!({"success": true, "snapshot": entry(&id, kept)})))
}

/// Names the snapshot that is not there.
pub(super) fn missing(id: &str) -> impl FnOnce(SnapshotError) -> ApiError {
    move |error| match error {
        SnapshotError::NotFound => ApiError::not_found("snapshot", id),
        error => error.into(),
    }
}

impl App {
    /// Where the sandbox's snapshots are.
    fn place(&self, id: &str) -> Result<Place, ApiError> {
        let sandbox = self.sandboxes.get(id)?;
        Ok(self.snapshots.place_of(&sandbox.request.extra, id)?)
    }

    /// The same of a sandbox that may be gone. Whether it is there.
    fn place_or_past(&self, id: &str) -> Result<(Place, bool), ApiError> {
        match self.sandboxes.get(id) {
            Ok(sandbox) => Ok((self.snapshots.place_of(&sandbox.request.extra, id)?, true)),
            Err(SandboxError::NotFound { .. }) => Ok((Place::Own, false)),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a snapshot of a sandbox, which is resumed if it is stopped.
    pub(super) async fn take_snapshot(
        &self,
        id: &str,
        place: Place,
        request: TakeSnapshot,
    ) -> Result<Kept, ApiError> {
        let request = Snapshots::check(request)?;
        let lease = self.sandboxes.lease(id).await?;
        Ok(self.snapshots.take(lease, id, place, request).await?)
    }

    /// Puts a snapshot into a sandbox, which is resumed if it is stopped.
    pub(super) async fn restore_snapshot(
        &self,
        id: &str,
        found: Found,
        destination: Option<String>,
    ) -> Result<Kept, ApiError> {
        let destination = destination.as_deref().map(Snapshots::destination).transpose()?.flatten();
        let lease = self.sandboxes.lease(id).await?;
        // Looked at last: it may have taken a while to resume the sandbox.
        if self.turns.run_in(id) {
            return Err(SnapshotError::TurnRuns.into());
        }
        Ok(self.snapshots.restore(lease, id, found, destination).await?)
    }
}

fn entry(project: &str, kept: Kept) -> SnapshotEntry {
    SnapshotEntry {
        snapshot_id: kept.id,
        project_ref: project.to_owned(),
        created_at: iso(kept.created_at),
        tags: kept.tags,
        paths: kept.paths,
        size_bytes: Some(kept.size),
    }
}
