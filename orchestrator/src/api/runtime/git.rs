//! Version control in a sandbox.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::RawQuery,
    response::Response,
    routing::{MethodRouter, get, post},
};

use super::super::{
    App,
    extract::BODY_LIMIT,
    forward::{Bounds, Forward},
};
use crate::error::ApiError;

/// Two answers of git's as JSON; one question may be several commands, and one of them may go far.
const BOUNDS: Bounds = Bounds {
    body: BODY_LIMIT as u64,
    answer: 64 << 20,
    patience: Duration::from_secs(200),
    setting: None,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/git/status", looking("/git/status"))
        .route("/git/log", looking("/git/log"))
        .route("/git/diff", looking("/git/diff"))
        .route("/git/branches", looking("/git/branches"))
        .route("/git/add", changing("/git/add"))
        .route("/git/commit", changing("/git/commit"))
        .route("/git/push", changing("/git/push"))
        .route("/git/pull", changing("/git/pull"))
        .route("/git/checkout", changing("/git/checkout"))
}

fn looking(path: &'static str) -> MethodRouter<Arc<App>> {
    get(move |RawQuery(query): RawQuery, forward: Forward| async move {
        ask(&format!("{path}?{}", query.unwrap_or_default()), forward).await
    })
}

fn changing(path: &'static str) -> MethodRouter<Arc<App>> {
    post(move |forward: Forward| ask(path, forward))
}

async fn ask(path: &str, forward: Forward) -> Result<Response, ApiError> {
    forward.run(path, BOUNDS).await
}
