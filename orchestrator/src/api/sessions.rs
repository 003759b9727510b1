//! Agent sessions: mapping, dispatch, abort; below, their records and what was said in them.

mod caller;
mod history;
mod product;
mod records;

use std::sync::Arc;

use axum::{
    Extension, Json as JsonBody, Router,
    extract::State,
    http::StatusCode,
    routing::{post, put},
};
use sandbox_sdk::types::{
    Abort, Aborted, BackendChoice, Dispatch, DispatchReceipt, ErrorCode, Extra, InputPart,
    SessionMapping, TurnLimits,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, DISPATCH_LIMIT, Shared,
    extract::{Json, OptionalJson, Path},
    guard::Pass,
};
use crate::{error::ApiError, log::SessionLog, sandboxes::SandboxError, turns::is_id};

/// Longest id of a session.
pub(super) const MAX_SESSION: usize = 128;
pub(super) const SESSION_RULE: &str =
    "the session id must be 1 to 128 characters of [A-Za-z0-9:_-]";
/// Longest name of a user.
const MAX_USER: usize = 256;

/// What the product says of a session.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/session/{sid}/mapping", put(map)).merge(product::routes())
}

/// Sessions as a sandbox has them.
pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new()
        .route("/prompt", post(prompt))
        .route("/agents/sessions/{sid}/abort", post(abort))
        .route("/agents/sessions/{sid}/messages", post(dispatch))
        .merge(records::routes())
        .merge(history::routes())
}

/// Says whose the session is. It must be known before a viewer is let in.
async fn map(
    State(app): Shared,
    Path(sid): Path<String>,
    Json(mapping): Json<SessionMapping>,
) -> Result<JsonBody<Value>, ApiError> {
    let user = &mapping.user_id;
    if !is_id(&sid, MAX_SESSION) {
        return Err(ApiError::invalid(SESSION_RULE));
    }
    if user.is_empty() || user.len() > MAX_USER || user.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!("userId must be 1 to {MAX_USER} plain bytes")));
    }
    match app.sandboxes.get(&mapping.sandbox_id) {
        Err(SandboxError::NotFound { .. }) => {
            return Err(ApiError::not_found("sandbox", &mapping.sandbox_id)
                .with("reprovisionRequired", true));
        }
        found => found?,
    };
    app.admit_session(None, &sid).await?;
    let runtime = mapping.runtime_session_id.as_deref();
    let row = app.store.map_session(&sid, &mapping.sandbox_id, user, runtime).await?;
    let Some(row) = row else {
        return Err(ApiError::new(
            ErrorCode::InvalidState,
            "The session belongs to another user or runs in another sandbox.",
        ));
    };
    app.logs.known_session(&row).await?;
    Ok(JsonBody(json!({"success": true})))
}

async fn dispatch(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path((id, sid)): Path<(String, String)>,
    Json(dispatch): Json<Dispatch, DISPATCH_LIMIT>,
) -> Result<(StatusCode, JsonBody<DispatchReceipt>), ApiError> {
    accepted(start(&app, &pass, &id, &sid, dispatch).await?)
}

/// A prompt by its older name: one text, nothing waited for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prompt {
    message: String,
    session_id: Option<String>,
    turn_id: Option<String>,
    backend: Option<BackendChoice>,
}

async fn prompt(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path(id): Path<String>,
    Json(prompt): Json<Prompt, DISPATCH_LIMIT>,
) -> Result<(StatusCode, JsonBody<DispatchReceipt>), ApiError> {
    let fresh = || uuid::Uuid::now_v7().to_string();
    let dispatch = Dispatch {
        turn_id: prompt.turn_id.unwrap_or_else(fresh),
        parts: vec![InputPart::Text { text: prompt.message }],
        backend: prompt.backend,
        limits: TurnLimits::default(),
        extra: Extra::new(),
    };
    let sid = prompt.session_id.unwrap_or_else(fresh);
    accepted(start(&app, &pass, &id, &sid, dispatch).await?)
}

/// Starts a turn, or finds it.
pub(super) async fn start(
    app: &App,
    pass: &Pass,
    id: &str,
    sid: &str,
    mut dispatch: Dispatch,
) -> Result<DispatchReceipt, ApiError> {
    caller::check(app, pass, id, &mut dispatch)?;
    app.admit_session(pass.counts_for(id), sid).await?;
    Ok(app.turns.dispatch(id, sid, dispatch).await?)
}

fn accepted(receipt: DispatchReceipt) -> Result<(StatusCode, JsonBody<DispatchReceipt>), ApiError> {
    let known = receipt.already_existed;
    let status = if known { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, JsonBody(receipt)))
}

/// Nothing to cancel is no error, also where there is no such session.
async fn abort(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
    OptionalJson(abort): OptionalJson<Abort>,
) -> Result<JsonBody<Aborted>, ApiError> {
    app.sandboxes.get(&id)?;
    if app.session_in(&id, &sid).await.is_err() {
        let reason = Some("no such session".to_owned());
        return Ok(JsonBody(Aborted { cancelled: false, reason }));
    }
    Ok(JsonBody(app.turns.abort(&sid, abort.turn_id.as_deref()).await?))
}

impl App {
    /// A session is found only through its own sandbox. A sandbox's own log is none.
    pub(super) async fn session_in(&self, id: &str, sid: &str) -> Result<(), ApiError> {
        self.sandboxes.get(id)?;
        let row = self.store.session(sid).await?;
        row.filter(|row| row.sandbox_id == id && is_id(sid, MAX_SESSION))
            .map(drop)
            .ok_or_else(|| ApiError::not_found("session", sid))
    }

    /// The log of a session of the sandbox. One that takes the session's name later has another log.
    pub(super) async fn log_of(&self, id: &str, sid: &str) -> Result<Arc<SessionLog>, ApiError> {
        self.sandboxes.get(id)?;
        let log = self.logs.session_of(sid, &[id.to_owned()]).await?;
        log.ok_or_else(|| ApiError::not_found("session", sid))
    }
}
