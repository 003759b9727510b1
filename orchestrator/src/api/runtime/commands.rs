//! Commands of a sandbox.

use std::{sync::Arc, time::Duration};

use axum::{
    Json as JsonBody, Router,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, header::ACCEPT},
    response::{IntoResponse, Response},
    routing::post,
};
use sandbox_sdk::types::Exec;
use serde_json::json;

use super::super::{
    App, Shared,
    extract::{Known, Path},
    forward::{Bounds, Forward},
};
use crate::{
    error::ApiError,
    unread::{self, Warned},
};

/// Bytes of a request for a command. Clients send whole folders in one.
const COMMAND_LIMIT: usize = 6 << 20;

/// A command, and all that it may tell, of which JSON can make six times as much. It says every few
/// seconds that it is still there.
const STREAM: Bounds = Bounds {
    body: COMMAND_LIMIT as u64,
    answer: 4 << 30,
    patience: Duration::from_secs(60),
    setting: None,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/terminals/commands", post(exec))
        .route("/terminals/commands/stream", post(stream))
}

/// A client that goes away ends its command.
async fn exec(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    if wants_events(request.headers()) {
        return stream(Forward::from_request(request, &app).await?).await;
    }
    let Known(exec, unread) = Known::<Exec, COMMAND_LIMIT>::from_request(request, &app).await?;
    let lease = app.sandboxes.lease(&id).await?;
    let result = lease.sidecar().exec(exec).await?;
    let answer = json!({"success": true, "result": result});
    let warnings = unread::warnings(&unread);
    Ok(JsonBody(Warned { answer, warnings }).into_response())
}

async fn stream(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/terminals/commands/stream", STREAM).await
}

/// Events first: a client that takes anything, or either, gets the whole result at once.
fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.trim_start().starts_with("text/event-stream"))
}
