//! What agents ask people: told, and answered.

use std::sync::Arc;

use axum::{
    Json as JsonBody, Router,
    extract::State,
    routing::{get, post},
};
use sandbox_sdk::types::{ErrorCode, InteractionAnswer};
use serde_json::{Map, Value, json};

use super::{
    App, Shared,
    extract::{Json, Path},
};
use crate::{error::ApiError, turns::TurnError};

/// Characters of a request's id that are told.
const MAX_ID: usize = 200;

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new()
        .route("/agents/sessions/{sid}/interactions", get(list).post(answer))
        .route("/agents/sessions/{sid}/interactions/{request}", post(answer_one))
}

async fn list(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
) -> Result<JsonBody<Value>, ApiError> {
    app.session_in(&id, &sid).await?;
    let open = app.turns.interactions(&sid);
    Ok(JsonBody(json!({"success": true, "data": {"interactions": open}})))
}

async fn answer(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    Json(answer): Json<Map<String, Value>>,
) -> Result<JsonBody<Value>, ApiError> {
    take(&app, &id, &sid, answer).await
}

/// The same with the request's id in the path.
async fn answer_one(
    State(app): Shared,
    Path((id, sid, request)): Path<(String, String, String)>,
    Json(mut answer): Json<Map<String, Value>>,
) -> Result<JsonBody<Value>, ApiError> {
    answer.insert("id".to_owned(), request.into());
    take(&app, &id, &sid, answer).await
}

async fn take(
    app: &App,
    id: &str,
    sid: &str,
    answer: Map<String, Value>,
) -> Result<JsonBody<Value>, ApiError> {
    app.session_in(id, sid).await?;
    // The reader's own words would repeat what was answered.
    let answer: InteractionAnswer = serde_json::from_value(answer.into()).map_err(|_| {
        let words = "An answer is {id, outcome: accepted | declined | cancelled, data?}.";
        ApiError::new(ErrorCode::InvalidInteractionAnswer, words)
    })?;
    let asked: String = answer.id.chars().take(MAX_ID).collect();
    app.turns.answer(sid, answer).await.map_err(|error| match error {
        error @ TurnError::NobodyWaits => ApiError::from(error).with("resourceId", asked),
        error => error.into(),
    })?;
    Ok(JsonBody(json!({"success": true})))
}
