//! `/v1/sandboxes`

use std::{sync::Arc, time::Duration};

use axum::{
    Json as JsonBody, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{self, post},
};
use sandbox_sdk::types::{CreateSandbox, Sandbox, SandboxStatus, UpdateSandbox};
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{Json, OptionalJson, Path, Query},
    sse::{self, Since},
    view,
};
use crate::{
    error::ApiError,
    sandboxes::{Order, SandboxError, Snapshot},
    turns::Stop,
};

/// Sandboxes of one answer, unless fewer are asked for.
const MAX_LIST: usize = 200;
/// How long a creation waits for the sandbox: many times what a start takes. Clients use what they
/// have made without looking again.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// What `?status=` may be. The words of projects, `ready`, `degraded` and `suspended`, mean the same
/// as `running` and `stopped`.
pub(super) const STATUSES: [&str; 7] =
    ["pending", "provisioning", "running", "stopped", "failed", "expired", "deleted"];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/sandboxes", post(create).get(list))
        .route("/v1/sandboxes/{id}", routing::get(get).patch(update).delete(delete))
        .route("/v1/sandboxes/{id}/stop", post(stop))
        .route("/v1/sandboxes/{id}/resume", post(resume))
        .route("/v1/sandboxes/{id}/events", routing::get(events))
        .route("/v1/sandboxes/{id}/driver", routing::get(driver))
}

/// The idempotency key may stand in the body or in the header `Idempotency-Key`.
async fn create(
    State(app): Shared,
    headers: HeaderMap,
    OptionalJson(mut request): OptionalJson<CreateSandbox>,
) -> Result<(StatusCode, JsonBody<Sandbox>), ApiError> {
    read_key(&headers, &mut request)?;
    let asked = request.clone();
    let (snapshot, new) = app.make(Order { request, ..Order::default() }).await?;
    let mut sandbox = app.sandbox(&snapshot);
    if !new {
        view::warn(&mut sandbox.extra, snapshot.differs_from(None, &asked));
    }
    let outcome = if new { "created" } else { "idempotent_replay" };
    sandbox.extra.insert("outcome".to_owned(), outcome.into());
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, JsonBody(sandbox)))
}

/// Reads the idempotency key in the header, if there is one.
pub(super) fn read_key(headers: &HeaderMap, request: &mut CreateSandbox) -> Result<(), ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(()) };
    let key = key.to_str().map_err(|_| ApiError::invalid("Idempotency-Key must be ASCII"))?;
    if request.idempotency_key.get_or_insert_with(|| key.to_owned()) == key {
        return Ok(());
    }
    let words = "idempotencyKey and the header Idempotency-Key must be the same";
    Err(ApiError::invalid(words))
}

impl App {
    /// Makes a sandbox, and waits for its start. A start that failed stands in its status.
    pub(super) async fn make(&self, order: Order) -> Result<(Snapshot, bool), SandboxError> {
        let (made, new) = self.sandboxes.create(order).await?;
        Ok((self.sandboxes.settled(&made.row.id, START_PATIENCE).await?, new))
    }

    /// Ends the sandbox's turns, closes its viewers, then removes all there is of it.
    pub(crate) async fn delete_sandbox(&self, id: &str) -> Result<(), ApiError> {
        self.sandboxes.condemn(id).await?;
        let stop = Stop::interrupted("SANDBOX_DELETED", "The sandbox was deleted.");
        self.turns.stop_sandbox(id, stop).await;
        for session in self.store.sessions_of(id).await? {
            self.logs.forget(&session.id);
        }
        // Again, for viewers that came before the sessions were gone, and for sessions that did.
        for session in self.sandboxes.delete(id).await? {
            self.logs.forget(&session);
        }
        Ok(())
    }
}

/// `?status=` may come several times. `total`: how many there are on all pages together.
async fn list(
    State(app): Shared,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<JsonBody<Value>, ApiError> {
    let (mut statuses, mut limit, mut offset) = (Vec::new(), MAX_LIST, 0);
    for (name, value) in query {
        let number = || {
            let number = value.parse::<usize>();
            number.map_err(|_| ApiError::invalid(format!("{name} must be a whole number")))
        };
        match name.as_str() {
            "status" => statuses.push(status(&value)?),
            "limit" => limit = number()?.min(MAX_LIST),
            "offset" => offset = number()?,
            _ => {}
        }
    }
    let found = app.sandboxes.list(&statuses);
    let total = found.len();
    let page = found.into_iter().skip(offset).take(limit);
    let page: Vec<_> = page.map(|snapshot| app.sandbox(&snapshot)).collect();
    Ok(JsonBody(json!({"sandboxes": page, "total": total})))
}

/// Who asks for a status that there is not must not believe that there are no such sandboxes.
fn status(word: &str) -> Result<SandboxStatus, ApiError> {
    match SandboxStatus::from(word) {
        SandboxStatus::Other(word) => {
            let word: String = word.chars().take(64).collect();
            let known = STATUSES.join(", ");
            Err(ApiError::invalid(format!("there is no status {word:?}; there are {known}")))
        }
        status => Ok(status),
    }
}

async fn get(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Sandbox>, ApiError> {
    Ok(JsonBody(app.sandbox(&app.sandboxes.get(&id)?)))
}

/// Changes what was asked for when it was made, and keeps it alive.
async fn update(
    State(app): Shared,
    Path(id): Path<String>,
    Json(update): Json<UpdateSandbox>,
) -> Result<JsonBody<Sandbox>, ApiError> {
    Ok(JsonBody(app.sandbox(&app.sandboxes.change(&id, update).await?)))
}

pub(super) async fn delete(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Value>, ApiError> {
    // In a task of its own: a caller that goes away must not leave half a sandbox.
    let deleted = tokio::spawn(async move { app.delete_sandbox(&id).await });
    deleted.await.map_err(|error| ApiError::internal(&error))??;
    Ok(JsonBody(json!({"success": true})))
}

async fn stop(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Sandbox>, ApiError> {
    app.sandboxes.get(&id)?;
    app.turns.stop_sandbox(&id, Stop::sandbox_stopped()).await;
    Ok(JsonBody(app.sandbox(&app.sandboxes.stop(&id).await?)))
}

async fn resume(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Sandbox>, ApiError> {
    drop(app.sandboxes.lease(&id).await?);
    Ok(JsonBody(app.sandbox(&app.sandboxes.get(&id)?)))
}

/// What happens to the sandbox: what came after a number, then what comes.
async fn events(
    State(app): Shared,
    Path(id): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let since = since.or_header(&headers)?;
    let log = app.sandboxes.events(&id).await?;
    Ok(sse::follow(&app, log, since))
}

/// What isolates the sandbox, and how hard its limits are.
async fn driver(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let warning = app.sandboxes.network(&id)?.warning();
    let report = app.sandboxes.driver_of(&id).await?;
    Ok(JsonBody(json!({
        "type": report.kind.protocol_type(),
        "available": true,
        "version": report.version,
        "capabilities": {
            "criu": false,
            "gpu": false,
            "vsock": false,
            "snapshots": true,
            "userManagement": false,
            "networkIsolation": true,
        },
        "capacity": {"available": app.sandboxes.room(), "total": app.sandboxes.most().1},
        "kind": report.kind,
        "isolation": report.isolation,
        "uid": report.uid,
        "network": report.network,
        "limits": report.limits,
        "warnings": report.warnings.iter().map(String::as_str).chain(warning).collect::<Vec<_>>(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_are_listed_by_the_words_that_they_show() {
        for word in STATUSES {
            assert_eq!(status(word).unwrap().as_str(), word);
        }
        assert_eq!(status("ready").unwrap(), SandboxStatus::Running);
        for odd in ["", "foo", "running,stopped", "Running"] {
            assert!(status(odd).is_err(), "{odd}");
        }
    }
}
