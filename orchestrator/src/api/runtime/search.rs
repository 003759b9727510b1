//! Search in the files of a sandbox.

use std::{sync::Arc, time::Duration};

use axum::{Router, response::Response, routing::post};

use super::super::{
    App,
    extract::BODY_LIMIT,
    forward::{Bounds, Forward},
};
use crate::error::ApiError;

/// A pattern and all the lines that are told, as JSON. A search may wait for others.
const BOUNDS: Bounds = Bounds {
    body: BODY_LIMIT as u64,
    answer: 64 << 20,
    patience: Duration::from_secs(60),
    setting: None,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/search", post(search))
}

async fn search(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/search", BOUNDS).await
}
