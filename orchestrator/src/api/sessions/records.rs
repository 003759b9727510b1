//! Agent sessions of a sandbox as things that are made, listed, looked at and deleted.

use std::sync::Arc;

use axum::{
    Extension, Json as JsonBody, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use sandbox_sdk::types::{BackendChoice, ErrorCode, InteractionKind, SessionStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_SESSION, SESSION_RULE, caller::is_own};
use crate::{
    api::{
        App, Shared,
        extract::{OptionalJson, Path, Query},
        guard::Pass,
    },
    clock::iso,
    error::ApiError,
    turns::is_id,
};

/// Sessions of one answer.
const MAX_LIST: u32 = 200;

pub(in crate::api) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/agents/session", post(create).get(list))
        .route("/agents/sessions", post(create).get(list))
        .route("/agents/sessions/{sid}", get(status).delete(delete))
        .route("/agents/sessions/{sid}/status", get(status))
        .route("/agents/sessions/{sid}/plan", get(plan))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NewSession {
    session_id: Option<String>,
    backend: Option<BackendChoice>,
}

/// The same id again is a look-up. A session lives as long as its sandbox.
async fn create(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path(id): Path<String>,
    OptionalJson(asked): OptionalJson<NewSession>,
) -> Result<(StatusCode, JsonBody<SessionStatus>), ApiError> {
    app.sandboxes.get(&id)?;
    if let Some(asked) = &asked.backend
        && !is_own(&app, &id, asked).await?
    {
        let why = "A session has the backend of its sandbox; single turns may name another one.";
        return Err(ApiError::not_implemented("session backend", why));
    }
    let sid = asked.session_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    if !is_id(&sid, MAX_SESSION) {
        return Err(ApiError::invalid(SESSION_RULE));
    }
    app.admit_session(pass.counts_for(&id), &sid).await?;
    let is_new = app.open_session(&id, &sid).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(app.describe(&sid).await?)))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<u32>,
    offset: Option<u32>,
}

/// The newest first.
async fn list(
    State(app): Shared,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<JsonBody<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    let limit = page.limit.unwrap_or(MAX_LIST).min(MAX_LIST);
    let (rows, total) =
        app.store.agent_sessions(&id, limit, page.offset.unwrap_or_default()).await?;
    let sessions: Vec<_> = rows
        .iter()
        .map(|row| {
            let running = app.turns.running_in(&row.id);
            json!({
                "id": row.id,
                "sessionId": row.id,
                "state": if running.is_some() { "running" } else { "idle" },
                "activeExecutionId": running,
                "createdAt": iso(row.created_at),
            })
        })
        .collect();
    Ok(JsonBody(json!({"sessions": sessions, "total": total})))
}

async fn status(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
) -> Result<JsonBody<SessionStatus>, ApiError> {
    app.session_in(&id, &sid).await?;
    Ok(JsonBody(app.describe(&sid).await?))
}

/// The plan that waits for a decision, if there is one.
async fn plan(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
) -> Result<JsonBody<Value>, ApiError> {
    app.session_in(&id, &sid).await?;
    let open = app.turns.interactions(&sid).into_iter();
    let plan = open.rev().find(|request| request.kind == InteractionKind::Plan);
    Ok(JsonBody(json!({"plan": plan})))
}

async fn delete(
    State(app): Shared,
    Path((id, sid)): Path<(String, String)>,
) -> Result<JsonBody<Value>, ApiError> {
    app.session_in(&id, &sid).await?;
    app.end_session(sid).await?;
    Ok(JsonBody(json!({"success": true})))
}

impl App {
    /// Makes a session in a sandbox, unless it is there. `true`: it is new.
    pub(in crate::api) async fn open_session(
        &self,
        sandbox_id: &str,
        sid: &str,
    ) -> Result<bool, ApiError> {
        let is_new = self.store.session(sid).await?.is_none();
        let row = self.store.open_session(sid, sandbox_id).await?;
        if row.sandbox_id != sandbox_id {
            let words = "A session of this id runs in another sandbox: choose another id.";
            return Err(ApiError::new(ErrorCode::InvalidState, words));
        }
        self.logs.known_session(&row).await?;
        Ok(is_new)
    }

    /// Where a session stands, for whoever wants to go on with it.
    pub(in crate::api) async fn describe(&self, sid: &str) -> Result<SessionStatus, ApiError> {
        let mut status = self.turns.status(sid).await?;
        let active = status.active_execution_id.as_ref();
        let execution = active.map(|id| json!({"id": id, "status": "running"}));
        let waits = self.turns.interactions(sid).first().map(|request| match request.kind {
            InteractionKind::Permission => "blocked_on_approval",
            InteractionKind::Plan => "awaiting_plan_decision",
            InteractionKind::Question | InteractionKind::Other(_) => "awaiting_question",
        });
        let more = [
            ("id", Some(json!(sid))),
            ("reconnectable", Some(active.is_some().into())),
            ("activeExecution", execution),
            ("waitsFor", waits.map(Value::from)),
        ];
        let more = more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        status.extra.extend(more);
        Ok(status)
    }

    /// Ends what runs in a session, closes its viewers, and removes all there is of it outside its
    /// sandbox. What the agent remembers stays in the sandbox's home folder.
    pub(in crate::api) async fn end_session(self: Arc<Self>, sid: String) -> Result<(), ApiError> {
        // In a task of its own: a caller that goes away must not leave half a session.
        let deleted = tokio::spawn(async move {
            self.turns.stop_session(&sid).await;
            let Some(row) = self.store.session(&sid).await? else { return Ok(()) };
            // Nothing is written to a log that is forgotten.
            self.logs.forget(&sid);
            self.store.delete_session(row.key).await?;
            // What came meanwhile has the log of a session that is gone. One that was made anew since
            // has a key of its own.
            if self.logs.session(&sid).await?.key() == Some(row.key) {
                self.logs.forget(&sid);
                self.turns.stop_session(&sid).await;
            }
            Ok::<_, ApiError>(())
        });
        deleted.await.map_err(|error| ApiError::internal(&error))?
    }
}
