//! Files of a sandbox.

use std::{sync::Arc, time::Duration};

use axum::{Router, response::Response, routing::post};

use super::super::{
    App,
    extract::BODY_LIMIT,
    forward::{Bounds, Forward},
};
use crate::{error::ApiError, sidecar};

/// A small question and the largest file, as base64 in JSON.
const READ: Bounds = Bounds { body: BODY_LIMIT as u64, answer: 32 << 20, patience: PATIENCE };
/// The other way round.
const WRITE: Bounds =
    Bounds { body: sidecar::MAX_BODY as u64, answer: 64 << 10, patience: PATIENCE };
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/files/read", post(read)).route("/files/write", post(write))
}

async fn read(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/files/read", READ).await
}

async fn write(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/files/write", WRITE).await
}
