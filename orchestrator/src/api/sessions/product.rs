//! `/v1/sessions`: sessions for clients that think of nothing else. Each is an agent session in a
//! sandbox; without a `projectId` a sandbox is made for it, and goes with it.

use std::sync::Arc;

use axum::{
    Extension, Json as JsonBody, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
};
use sandbox_sdk::types::{
    CreateSandbox, Dispatch, DispatchReceipt, Extra, InputPart, SandboxStatus, TurnLimits,
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{MAX_SESSION, start};
use crate::{
    api::{
        App, DISPATCH_LIMIT, Shared,
        extract::{Json, OptionalJson, Path, Query},
        guard::Pass,
        sse::{self, Since},
    },
    error::ApiError,
    sandboxes::Order,
    turns::is_id,
    unread,
};

pub(in crate::api) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/sessions", post(create))
        .route("/v1/sessions/{sid}", get(look).delete(delete))
        .route("/v1/sessions/{sid}/message", post(message))
        .route("/v1/sessions/{sid}/events", get(events))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NewSession {
    project_id: Option<String>,
    /// What the sandbox is made with.
    config: Option<CreateSandbox>,
    #[serde(flatten)]
    extra: Extra,
}

async fn create(
    State(app): Shared,
    OptionalJson(asked): OptionalJson<NewSession>,
) -> Result<(StatusCode, JsonBody<Value>), ApiError> {
    // In a task of its own: a caller that goes away must not leave a sandbox without its session.
    let made = tokio::spawn(async move { app.make_session(asked).await });
    let made = made.await.map_err(|error| ApiError::internal(&error))??;
    Ok((StatusCode::CREATED, JsonBody(made)))
}

async fn look(State(app): Shared, Path(sid): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let sandbox_id = app.sandbox_of(&sid).await?;
    Ok(JsonBody(app.show_session(&sid, &sandbox_id).await?))
}

async fn delete(State(app): Shared, Path(sid): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let sandbox_id = app.sandbox_of(&sid).await?;
    if Uuid::parse_str(&sid).is_ok_and(|uuid| own_sandbox(uuid) == sandbox_id) {
        // In a task of its own: a caller that goes away must not leave half a sandbox.
        let deleted = tokio::spawn(async move { app.delete_sandbox(&sandbox_id).await });
        deleted.await.map_err(|error| ApiError::internal(&error))??;
    } else {
        app.end_session(sid).await?;
    }
    Ok(JsonBody(json!({"success": true})))
}

#[derive(Deserialize)]
struct Message {
    message: String,
    #[serde(flatten)]
    extra: Extra,
}

async fn message(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path(sid): Path<String>,
    Json(message): Json<Message, DISPATCH_LIMIT>,
) -> Result<(StatusCode, JsonBody<DispatchReceipt>), ApiError> {
    let sandbox_id = app.sandbox_of(&sid).await?;
    let dispatch = Dispatch {
        turn_id: Uuid::now_v7().to_string(),
        parts: vec![InputPart::Text { text: message.message }],
        backend: None,
        limits: TurnLimits::default(),
        extra: message.extra,
    };
    let receipt = start(&app, &pass, &sandbox_id, &sid, dispatch).await?;
    Ok((StatusCode::OK, JsonBody(receipt)))
}

async fn events(
    State(app): Shared,
    Path(sid): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let log = app.log_of(&app.sandbox_of(&sid).await?, &sid).await?;
    let since = since.or_header(&headers)?;
    Ok(sse::follow(&app, log, since))
}

/// The sandbox that is made for a session, and that no other session gets.
fn own_sandbox(session: Uuid) -> String {
    format!("session-{}", session.simple())
}

impl App {
    async fn make_session(&self, asked: NewSession) -> Result<Value, ApiError> {
        let NewSession { project_id, config, extra } = asked;
        let mut warnings = unread::warnings(&unread::kept(&extra));
        let uuid = Uuid::now_v7();
        let sid = uuid.to_string();
        // Before there is a sandbox that would have no session.
        self.admit_session(None, &sid).await?;
        let sandbox_id = match (project_id, config) {
            (Some(_), Some(_)) => {
                let words = "config is for the sandbox of a session without projectId";
                return Err(ApiError::invalid(words));
            }
            (Some(project), None) => self.sandboxes.get(&project)?.row.id,
            (None, config) => {
                let request = config.unwrap_or_default();
                let order = Order { id: Some(own_sandbox(uuid)), request, ..Order::default() };
                let (made, _) = self.make(order).await?;
                warnings.extend(made.warnings());
                made.row.id
            }
        };
        self.open_session(&sandbox_id, &sid).await?;
        let mut shown = self.show_session(&sid, &sandbox_id).await?;
        if !warnings.is_empty() {
            shown["warnings"] = json!(warnings);
        }
        Ok(shown)
    }

    async fn sandbox_of(&self, sid: &str) -> Result<String, ApiError> {
        let missing = || ApiError::not_found("session", sid);
        if !is_id(sid, MAX_SESSION) {
            return Err(missing());
        }
        let row = self.store.session(sid).await?.ok_or_else(missing)?;
        // One that is being deleted has no sessions any more.
        self.sandboxes.get(&row.sandbox_id).map_err(|_| missing())?;
        Ok(row.sandbox_id)
    }

    async fn show_session(&self, sid: &str, sandbox_id: &str) -> Result<Value, ApiError> {
        let sandbox = self.sandboxes.get(sandbox_id)?;
        let running = self.turns.running_in(sid);
        // A sandbox that stands still is resumed by the next message.
        let status = match (sandbox.status(), &running) {
            (SandboxStatus::Running | SandboxStatus::Stopped, Some(_)) => "running".to_owned(),
            (SandboxStatus::Running | SandboxStatus::Stopped, None) => "idle".to_owned(),
            (status, _) => status.as_str().to_owned(),
        };
        Ok(json!({
            "id": sid,
            "status": status,
            "projectId": sandbox_id,
            "activeExecutionId": running,
        }))
    }
}
