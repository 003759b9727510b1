//! `GET /metrics`, and what is counted of every answer.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::header::CONTENT_TYPE,
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{App, Shared};
use crate::error::ApiError;

/// The text format with its end marked, which Prometheus and its kin read.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Of requests that no route takes: what they asked for is the caller's own words.
const NO_ROUTE: &str = "none";
/// How the routes end that run a command.
const COMMANDS: &str = "/terminals/commands";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(figures))
}

async fn figures(State(app): Shared) -> Result<Response, ApiError> {
    let text = app.metrics.exposition(&app).map_err(|error| ApiError::internal(&error))?;
    Ok(([(CONTENT_TYPE, FORMAT)], text).into_response())
}

/// Counts an answer by the pattern of its route.
pub(super) async fn observe(State(app): Shared, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    app.metrics.answered(route, response.status(), started.elapsed());
    if route.ends_with(COMMANDS) && response.status().is_success() {
        app.metrics.command_ran();
    }
    response
}
