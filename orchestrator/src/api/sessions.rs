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
    extract::{Json, Known, OptionalJson, Path},
    guard::Pass,
};
use crate::{
    error::ApiError,
    log::SessionLog,
    sandboxes::SandboxError,
    turns::{INTERACTIONS, is_id},
    unread::{self, Warned},
};

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

/// Says whose the session is, and which one its viewers see. It must be known before a viewer is
/// let in.
async fn map(
    State(app): Shared,
    Path(sid): Path<String>,
    Known(mapping, unread): Known<SessionMapping>,
) -> Result<JsonBody<Warned<Value>>, ApiError> {
    let user = &mapping.user_id;
    if !is_id(&sid, MAX_SESSION) {
        return Err(ApiError::invalid(SESSION_RULE));
    }
    let named = mapping.runtime_session_id.as_deref();
    if named.is_some_and(|runtime| !is_id(runtime, MAX_SESSION)) {
        let words = "runtimeSessionId must be 1 to 128 characters of [A-Za-z0-9:_-]";
        return Err(ApiError::invalid(words));
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
    if let Some(runtime) = other_session(&sid, &mapping) {
        app.admit_session(None, runtime).await?;
    }
    let answer = match named {
        Some(runtime) => json!({"success": true, "runtimeSessionId": runtime}),
        None => json!({"success": true}),
    };
    // In a task of its own: viewers hear of what was written even if the caller goes away.
    tokio::spawn(async move { app.register(&sid, &mapping).await })
        .await
        .map_err(|error| ApiError::internal(&error))??;
    Ok(JsonBody(Warned { answer, warnings: unread::warnings(&unread) }))
}

/// The session whose events the viewers are to see, where it is another one.
fn other_session<'a>(sid: &str, mapping: &'a SessionMapping) -> Option<&'a str> {
    mapping.runtime_session_id.as_deref().filter(|runtime| *runtime != sid)
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
    #[serde(flatten)]
    extra: Extra,
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
        extra: prompt.extra,
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
    caller::check(app, pass, id, &mut dispatch).await?;
    app.admit_session(pass.counts_for(id), sid).await?;
    let warnings = warnings(&dispatch.extra);
    let mut receipt = app.turns.dispatch(id, sid, dispatch).await?;
    receipt.warnings = warnings;
    Ok(receipt)
}

/// What of a request for a turn makes no difference, in words for people.
pub(super) fn warnings(unnamed: &Extra) -> Vec<String> {
    let names = unnamed.iter().filter(|(name, value)| *name != INTERACTIONS && !value.is_null());
    let names: Vec<_> = names.map(|(name, _)| name.clone()).collect();
    unread::warnings(&names)
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
    /// Writes a mapping down, and tells the viewers who see another session than before.
    async fn register(&self, sid: &str, mapping: &SessionMapping) -> Result<(), ApiError> {
        let SessionMapping { user_id, sandbox_id, .. } = mapping;
        let other = other_session(sid, mapping);
        let Some(mapped) = self.store.map_session(sid, sandbox_id, user_id, other).await? else {
            let words = match other {
                None => "The session belongs to another user or runs in another sandbox.",
                Some(_) => {
                    "The session, or the one that runtimeSessionId names, belongs to another user \
                     or runs in another sandbox."
                }
            };
            return Err(ApiError::new(ErrorCode::InvalidState, words));
        };
        if let Some(runtime) = &mapped.runtime {
            self.logs.known_session(runtime).await?;
        }
        let log = self.logs.known_session(&mapped.session).await?;
        if mapped.is_moved {
            log.set_moved();
        }
        Ok(())
    }

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
