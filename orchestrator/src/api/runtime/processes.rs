//! Processes of a sandbox that go on after the request which started them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;

use super::super::{
    App,
    extract::{Path, Query},
    forward::{Bounds, Forward},
};
use crate::error::ApiError;

/// A program with its environment and its input.
const START_BODY: u64 = 2 << 20;
/// A result that somebody waits for comes after an hour at the latest.
const START: Bounds = Bounds {
    body: START_BODY,
    answer: 8 << 20,
    patience: Duration::from_secs(3600 + 10),
    setting: None,
};
const SMALL: Bounds =
    Bounds { body: 64 << 10, answer: 1 << 20, patience: Duration::from_secs(60), setting: None };
/// As long as the process writes. It says every few seconds that it is still there.
const LOGS: Bounds = Bounds { answer: u64::MAX, ..SMALL };

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/process", get(list))
        .route("/process/spawn", post(spawn))
        .route("/process/run-code", post(run_code))
        .route("/process/{pid}", get(one).delete(one))
        .route("/process/{pid}/logs", get(logs))
}

async fn list(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/process", SMALL).await
}

async fn spawn(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/process/spawn", START).await
}

/// A client that goes away ends its code.
async fn run_code(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/process/run-code", START).await
}

async fn one(Path((_, pid)): Path<(String, i32)>, forward: Forward) -> Result<Response, ApiError> {
    forward.run(&format!("/process/{pid}"), SMALL).await
}

#[derive(Deserialize)]
struct Cursor {
    #[serde(rename = "lastEventId", alias = "since")]
    since: Option<u64>,
}

/// Browsers bring the last event's id in a header; other readers may have it in the query.
async fn logs(
    Path((_, pid)): Path<(String, i32)>,
    Query(cursor): Query<Cursor>,
    headers: HeaderMap,
    forward: Forward,
) -> Result<Response, ApiError> {
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let since: u64 = header.or(cursor.since).unwrap_or(0);
    forward.run(&format!("/process/{pid}/logs?since={since}"), LOGS).await
}
