//! Its calls about turns.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use sandbox_sdk::types::{
    Abort, Aborted, Dispatch, DispatchReceipt, ErrorBody, ErrorCode, InputPart, TurnRecord,
    TurnState,
};
use serde_json::json;

use super::{EVENTS_OF_A_TURN, Shared, Turn, error};

pub(super) async fn dispatch(
    State(inner): Shared,
    headers: HeaderMap,
    Path((id, session)): Path<(String, String)>,
    Json(body): Json<Dispatch>,
) -> Response {
    let what = body.turn_id.clone();
    inner
        .call("dispatch", &what, &headers, |book| {
            if !book.sandboxes.contains_key(&id) {
                return error(ErrorCode::NotFound, "no such sandbox");
            }
            let turn = (session.clone(), body.turn_id.clone());
            if let Some(known) = book.turns.get(&turn) {
                return Json(receipt(&known.record, true)).into_response();
            }
            let mut of_session = book.turns.iter().filter(|((of, _), _)| *of == session);
            let busy = of_session.find(|(_, turn)| turn.record.state == TurnState::Running);
            if let Some(((_, active), _)) = busy {
                let mut body = ErrorBody::new(ErrorCode::InvalidState, "another turn runs");
                body.extra.insert("activeExecutionId".to_owned(), json!(active));
                return (StatusCode::CONFLICT, Json(body)).into_response();
            }
            let first_seq = book.turns.len() as u64 * EVENTS_OF_A_TURN + 1;
            let record: TurnRecord = serde_json::from_value(json!({
                "sessionId": session, "turnId": body.turn_id, "state": "running", "model": "demo",
                "firstSeq": first_seq, "lastSeq": first_seq, "startedAt": 1_700_000_000_000_i64,
            }))
            .unwrap();
            let prompt = body.parts.iter().map(|part| match part {
                InputPart::Text { text } => text.as_str(),
                InputPart::Other(_) => "",
            });
            let (prompt, answer) = (prompt.collect(), receipt(&record, false));
            book.turns
                .insert(turn, Turn { record, prompt, backend: body.backend, limits: body.limits });
            (StatusCode::ACCEPTED, Json(answer)).into_response()
        })
        .await
}

fn receipt(record: &TurnRecord, already_existed: bool) -> DispatchReceipt {
    DispatchReceipt {
        session_id: record.session_id.clone(),
        turn_id: record.turn_id.clone(),
        already_existed,
        state: record.state,
        since: record.first_seq - 1,
        processing: !record.state.is_final(),
        warnings: Vec::new(),
        extra: Default::default(),
    }
}

pub(super) async fn abort(
    State(inner): Shared,
    headers: HeaderMap,
    Path((_, session)): Path<(String, String)>,
    Json(body): Json<Abort>,
) -> Response {
    let what = body.turn_id.clone().unwrap_or_default();
    inner
        .call("abort", &what, &headers, |book| {
            let mut cancelled = false;
            for ((of, id), turn) in &mut book.turns {
                let meant = *of == session && body.turn_id.as_ref().is_none_or(|turn| turn == id);
                if meant && turn.record.state == TurnState::Running {
                    turn.record.state = TurnState::Aborted;
                    turn.record.ended_at = Some(turn.record.started_at + 700);
                    cancelled = true;
                }
            }
            Json(Aborted { cancelled, reason: None }).into_response()
        })
        .await
}

pub(super) async fn record(
    State(inner): Shared,
    headers: HeaderMap,
    Path((id, session, turn)): Path<(String, String, String)>,
) -> Response {
    inner
        .call("record", &turn, &headers, |book| {
            let known = book.turns.get(&(session, turn.clone()));
            match known.filter(|_| book.sandboxes.contains_key(&id)) {
                Some(turn) => Json(turn.record.clone()).into_response(),
                None => error(ErrorCode::NotFound, "no such turn"),
            }
        })
        .await
}
