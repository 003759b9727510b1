//! What was said in a session, and what came of its turns: from the records, not from the log.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, routing::get};
use sandbox_sdk::types::TurnRecord;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{
        App, Shared,
        extract::{Path, Query},
        runs,
    },
    clock::iso,
    error::ApiError,
    store::{SaidRow, StoreError},
};

/// Turns of one answer.
const MAX_TURNS: u32 = 200;
/// Bytes of what was said in one answer, more or less: the last turn may go beyond it.
const PAGE: usize = 4 * 1024 * 1024;

pub(in crate::api) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/agents/sessions/{sid}/messages", get(messages))
        .route("/agents/sessions/{sid}/turns/{turn}", get(turn))
        .route("/agents/sessions/{sid}/result", get(result))
        .route("/agents/turns/{turn}", get(turn_of_sandbox))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<u32>,
    before: Option<u64>,
}

/// The newest messages, the oldest of them first. `before` of the answer, if there is one, asks for
/// those that came before.
async fn messages(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Result<JsonBody<Value>, ApiError> {
    app.session_in(&id, &sid).await?;
    // A turn is two messages.
    let turns = page.limit.map_or(MAX_TURNS, |limit| limit.div_ceil(2)).clamp(1, MAX_TURNS);
    let said = app.turns.said(&sid, page.before, turns, PAGE).await?;
    // The first turn of a session begins with its first event.
    let before = said.last().map(SaidRow::first_seq).filter(|first| *first > 1);
    let mut messages = Vec::with_capacity(said.len() * 2);
    for row in said.into_iter().rev() {
        if let Some(prompt) = &row.prompt {
            let info = json!({
                "id": format!("usr_{}", row.id),
                "role": "user",
                "timestamp": iso(row.started_at),
                "sessionId": sid,
                "turnId": row.id,
            });
            messages.push(json!({"info": info, "parts": [{"type": "text", "text": prompt}]}));
        }
        let parts: Value = serde_json::from_str(&row.parts).map_err(StoreError::from)?;
        let info = json!({
            "id": format!("msg_{}", row.id),
            "role": "assistant",
            "timestamp": iso(row.ended_at.unwrap_or(row.started_at)),
            "sessionId": sid,
            "turnId": row.id,
            "state": row.state,
        });
        messages.push(json!({"info": info, "parts": parts}));
    }
    Ok(JsonBody(json!({"messages": messages, "before": before})))
}

async fn turn(
    State(app): Shared,
    Path((id, sid, turn)): Path<(String, String, String)>,
) -> Result<JsonBody<TurnRecord>, ApiError> {
    app.session_in(&id, &sid).await?;
    Ok(JsonBody(app.turns.record(&sid, &turn).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Which {
    execution_id: Option<String>,
    session_id: Option<String>,
}

/// What came of an execution, or of the session's last one.
async fn result(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<JsonBody<Value>, ApiError> {
    app.session_in(&id, &sid).await?;
    let record = match which.execution_id {
        Some(execution) => app.turns.record(&sid, &execution).await?,
        None => {
            let last = app.turns.last_record(&sid).await?;
            last.ok_or_else(|| ApiError::not_found("execution", ""))?
        }
    };
    Ok(JsonBody(runs::result(&record)))
}

/// The record of a turn whose session need not be known.
async fn turn_of_sandbox(
    State(app): Shared,
    Path((id, turn)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<JsonBody<TurnRecord>, ApiError> {
    app.sandboxes.get(&id)?;
    let found = app.turns.find(&id, &turn).await?;
    let asked = which.session_id.as_ref();
    let found = found.filter(|(session, _)| asked.is_none_or(|asked| asked == session));
    let (session, row) = found.ok_or_else(|| ApiError::not_found("turn", &turn))?;
    Ok(JsonBody(row.record(&session)?))
}
