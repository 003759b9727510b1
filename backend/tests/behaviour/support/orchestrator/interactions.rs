//! Its calls about what agents ask.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use sandbox_sdk::types::{ErrorCode, InteractionAnswer};
use serde_json::json;

use super::{Shared, error};

pub(super) async fn waiting(
    State(inner): Shared,
    headers: HeaderMap,
    Path((_, session)): Path<(String, String)>,
) -> Response {
    inner
        .call("waiting", &session, &headers, |book| {
            let waiting = book.waiting.iter().filter(|(of, _)| *of == session);
            let requests: Vec<_> = waiting.map(|(_, request)| request).collect();
            Json(json!({ "data": { "interactions": requests } })).into_response()
        })
        .await
}

pub(super) async fn answer(
    State(inner): Shared,
    headers: HeaderMap,
    Path((_, session)): Path<(String, String)>,
    Json(answer): Json<InteractionAnswer>,
) -> Response {
    inner
        .call("answer", &answer.id.clone(), &headers, |book| {
            let known = book.answers.iter().find(|known| known.id == answer.id);
            match known {
                Some(known) if *known == answer => return Json(json!({})).into_response(),
                Some(_) => return error(ErrorCode::InvalidState, "it was answered otherwise"),
                None => {}
            }
            let asked = book.waiting.iter().find(|(of, it)| *of == session && it.id == answer.id);
            let Some((_, request)) = asked else {
                return error(ErrorCode::NotFound, "nobody waits for this");
            };
            if let Err(problem) = request.check(&answer) {
                return error(ErrorCode::Validation, &problem.to_string());
            }
            book.answers.push(answer);
            Json(json!({})).into_response()
        })
        .await
}
