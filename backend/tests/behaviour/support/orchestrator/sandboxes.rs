//! Its calls about sandboxes, and about what can be run in them.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use sandbox_sdk::types::{CreateSandbox, ErrorCode, Sandbox, SandboxStatus, SessionMapping};
use serde_json::json;

use super::{Made, Shared, error};

fn sandbox(id: &str, status: &SandboxStatus) -> Sandbox {
    serde_json::from_value(json!({ "id": id, "status": status.as_str() })).unwrap()
}

pub(super) async fn agents(State(inner): Shared, headers: HeaderMap) -> Response {
    inner
        .call("agents", "", &headers, |book| match &book.catalog {
            Some(catalog) => Json(catalog.clone()).into_response(),
            None => error(ErrorCode::NotFound, "no such path"),
        })
        .await
}

pub(super) async fn create(
    State(inner): Shared,
    headers: HeaderMap,
    Json(body): Json<CreateSandbox>,
) -> Response {
    inner
        .call("create", "", &headers, |book| {
            let known = book.sandboxes.iter().find(|(_, made)| made.key == body.idempotency_key);
            if let Some((id, made)) = known {
                return Json(sandbox(id, &made.status)).into_response();
            }
            let id = format!("sandbox-{:012x}", book.log.len());
            let status = book.born.clone().unwrap_or(SandboxStatus::Running);
            let made = Made { status: status.clone(), key: body.idempotency_key };
            book.sandboxes.insert(id.clone(), made);
            (StatusCode::CREATED, Json(sandbox(&id, &status))).into_response()
        })
        .await
}

pub(super) async fn read(
    State(inner): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    inner
        .call("read", &id, &headers, |book| match book.sandboxes.get(&id) {
            Some(made) => Json(sandbox(&id, &made.status)).into_response(),
            None => error(ErrorCode::NotFound, "no such sandbox"),
        })
        .await
}

pub(super) async fn delete(
    State(inner): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    inner
        .call("delete", &id, &headers, |book| match book.sandboxes.remove(&id) {
            Some(_) => StatusCode::NO_CONTENT.into_response(),
            None => error(ErrorCode::NotFound, "no such sandbox"),
        })
        .await
}

pub(super) async fn resume(
    State(inner): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    inner
        .call("resume", &id, &headers, |book| match book.sandboxes.get_mut(&id) {
            Some(made) => {
                made.status = SandboxStatus::Running;
                Json(sandbox(&id, &made.status)).into_response()
            }
            None => error(ErrorCode::NotFound, "no such sandbox"),
        })
        .await
}

pub(super) async fn map(
    State(inner): Shared,
    headers: HeaderMap,
    Path(session): Path<String>,
    Json(mapping): Json<SessionMapping>,
) -> Response {
    inner
        .call("map", &session, &headers, |book| {
            if !book.sandboxes.contains_key(&mapping.sandbox_id) {
                return error(ErrorCode::NotFound, "no such sandbox");
            }
            book.mappings.insert(session.clone(), mapping);
            Json(json!({ "success": true })).into_response()
        })
        .await
}
