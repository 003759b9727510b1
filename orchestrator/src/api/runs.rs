//! `/agents/run…`: one request to an agent, followed to its end by whoever made it.
//!
//! An execution is a turn of a session like any other, in the session's one log: what a run streams,
//! a viewer of the gateway sees with the same numbers. Its id is the turn's id, and the same again is
//! a look-up. A client that goes away ends nothing.

mod execution;
mod request;

use std::sync::Arc;

use axum::{
    Extension, Json as JsonBody, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::Response,
    routing::post,
};
use futures::StreamExt;
use sandbox_sdk::types::{Aborted, DispatchReceipt, ErrorCode, TurnRecord, TurnState};
use serde_json::{Value, json};

use super::{
    App, DISPATCH_LIMIT, Shared,
    extract::{Json, OptionalJson, Path, Query},
    guard::Pass,
    sessions,
    sse::{self, Since},
};
use crate::{error::ApiError, store::TurnRow, turns::is_id};
use execution::Execution;
use request::{Cancel, EXECUTION_ID, Run, header_id};

/// Names the session of the answered execution.
const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

pub(super) fn in_sandbox() -> Router<Arc<App>> {
    Router::new()
        .route("/agents/run", post(run))
        .route("/agents/run/stream", post(stream))
        .route("/agents/run/cancel", post(cancel))
        .route("/agents/sessions/{sid}/dispatch", post(dispatch))
}

/// The events of one execution of a session after a number, to its `done`.
pub(super) async fn events_of(
    app: &App,
    sandbox_id: &str,
    session_id: &str,
    execution_id: &str,
    after: u64,
) -> Result<Response, ApiError> {
    let found = app.turns.find(sandbox_id, execution_id).await?;
    let found = found.filter(|(session, _)| session == session_id);
    let (session_id, row) = found.ok_or_else(|| ApiError::not_found("execution", execution_id))?;
    let execution = app.follow_run(sandbox_id, &Place::of(session_id, row), after).await?;
    Ok(sse::answer(execution.frames()))
}

/// Where an execution stands in the log of its session.
struct Place {
    session_id: String,
    execution_id: String,
    /// Number of the event before its first.
    since: u64,
    /// Number of its last event, once it has ended.
    last: Option<u64>,
    is_new: bool,
}

impl Place {
    /// Of one that is known.
    fn of(session_id: String, row: TurnRow) -> Self {
        let (since, last) = (row.since(), row.last_seq());
        Self { session_id, execution_id: row.id, since, last, is_new: false }
    }
}

/// The execution's events from its beginning, or from after `Last-Event-ID`, to its `done`.
async fn stream(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
    Json(run): Json<Run, DISPATCH_LIMIT>,
) -> Result<Response, ApiError> {
    let after = since.or_header(&headers)?;
    let place = app.start_run(&pass, &id, &headers, run).await?;
    let execution = app.follow_run(&id, &place, after).await?;
    // What clients call an execution when they tell of it elsewhere. It stands in no log.
    let trace = json!({"traceId": place.execution_id}).to_string();
    let trace = futures::stream::iter([Ok(sse::frame("trace.id", None, &trace))]);
    let mut response = sse::answer(trace.chain(execution.frames()));
    for (name, id) in [(SESSION_ID, &place.session_id), (EXECUTION_ID, &place.execution_id)] {
        // Both are plain letters and digits.
        if let Ok(id) = HeaderValue::from_str(id) {
            response.headers_mut().insert(name, id);
        }
    }
    Ok(response)
}

/// The same without the events: answers when it has ended.
async fn run(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(run): Json<Run, DISPATCH_LIMIT>,
) -> Result<JsonBody<Value>, ApiError> {
    let warnings = sessions::warnings(&run.extra);
    let place = app.start_run(&pass, &id, &headers, run).await?;
    if place.last.is_none() {
        app.follow_run(&id, &place, place.since).await?.ended().await;
    }
    let record = app.turns.record(&place.session_id, &place.execution_id).await?;
    if !record.state.is_final() {
        let words = "The execution goes on, and this orchestrator stops waiting for it.";
        return Err(ApiError::new(ErrorCode::Unavailable, words)
            .with("executionId", record.turn_id)
            .with("sessionId", record.session_id));
    }
    let mut result = result(&record);
    if !warnings.is_empty() {
        result["warnings"] = warnings.into();
    }
    Ok(JsonBody(result))
}

/// Stops an execution by its id, or whatever runs in a session. Nothing to stop is no error.
async fn cancel(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(cancel): OptionalJson<Cancel>,
) -> Result<JsonBody<Aborted>, ApiError> {
    app.sandboxes.get(&id)?;
    let (session, turn) = match (cancel.execution_id(&headers)?, cancel.session_id) {
        (None, None) => return Err(ApiError::invalid("name an executionId or a sessionId")),
        (None, Some(session)) => (app.session_in(&id, &session).await.ok().map(|()| session), None),
        (Some(turn), named) => {
            let found = app.turns.find(&id, &turn).await?.map(|(session, _)| session);
            let is_named = |session: &String| named.as_ref().is_none_or(|named| named == session);
            (found.filter(is_named), Some(turn))
        }
    };
    let Some(session) = session else {
        let reason = Some("no such execution".to_owned());
        return Ok(JsonBody(Aborted { cancelled: false, reason }));
    };
    Ok(JsonBody(app.turns.abort(&session, turn.as_deref()).await?))
}

/// Starts an execution and does not wait for it. Without a turn id it is the session's one: the same
/// session again is a look-up.
async fn dispatch(
    State(app): Shared,
    Extension(pass): Extension<Pass>,
    Path((id, sid)): Path<(String, String)>,
    headers: HeaderMap,
    Json(mut run): Json<Run, DISPATCH_LIMIT>,
) -> Result<(StatusCode, JsonBody<DispatchReceipt>), ApiError> {
    if run.session_id.get_or_insert_with(|| sid.clone()) != &sid {
        return Err(ApiError::invalid("sessionId must be that of the path"));
    }
    run.turn_id.get_or_insert_with(|| header_id(&headers).ok().flatten().unwrap_or(sid));
    // It never waits.
    run.extra.retain(|name, value| name != "detach" || value != true);
    let warnings = sessions::warnings(&run.extra);
    let place = app.start_run(&pass, &id, &headers, run).await?;
    let record = app.turns.record(&place.session_id, &place.execution_id).await?;
    let status = if place.is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let receipt = DispatchReceipt {
        session_id: place.session_id,
        turn_id: place.execution_id,
        already_existed: !place.is_new,
        state: record.state,
        since: place.since,
        processing: !record.state.is_final(),
        warnings,
        extra: Default::default(),
    };
    Ok((status, JsonBody(receipt)))
}

impl App {
    /// Starts what is asked for, or finds it.
    async fn start_run(
        &self,
        pass: &Pass,
        sandbox_id: &str,
        headers: &HeaderMap,
        run: Run,
    ) -> Result<Place, ApiError> {
        self.sandboxes.get(sandbox_id)?;
        let named = run.execution_id(headers)?;
        if let Some(named) = &named
            && let Some(place) =
                self.place_of_run(sandbox_id, run.session_id.as_deref(), named).await?
        {
            return Ok(place);
        }
        if run.is_empty() {
            return Err(match named {
                // Who resumes says nothing new.
                Some(named) => ApiError::not_found("execution", &named),
                None => ApiError::invalid("message or parts must hold some text"),
            });
        }
        let session_id = run.session_id(sandbox_id, named.as_deref());
        if !is_id(&session_id, sessions::MAX_SESSION) {
            return Err(ApiError::invalid(sessions::SESSION_RULE));
        }
        let dispatch = run.into_dispatch(named)?;
        let execution_id = dispatch.turn_id.clone();
        let receipt = sessions::start(self, pass, sandbox_id, &session_id, dispatch).await?;
        if receipt.already_existed {
            // Somebody else was faster.
            let known = self.place_of_run(sandbox_id, Some(&session_id), &execution_id).await?;
            return known.ok_or_else(|| ApiError::not_found("execution", &execution_id));
        }
        Ok(Place { session_id, execution_id, since: receipt.since, last: None, is_new: true })
    }

    /// Where an execution of that id stands, if there is one.
    async fn place_of_run(
        &self,
        sandbox_id: &str,
        session_id: Option<&str>,
        execution_id: &str,
    ) -> Result<Option<Place>, ApiError> {
        let Some((found, row)) = self.turns.find(sandbox_id, execution_id).await? else {
            return Ok(None);
        };
        if session_id.is_some_and(|asked| asked != found) {
            let words = "An execution of this id belongs to another session of the sandbox.";
            return Err(ApiError::new(ErrorCode::InvalidState, words));
        }
        Ok(Some(Place::of(found, row)))
    }

    async fn follow_run(
        &self,
        sandbox_id: &str,
        place: &Place,
        after: u64,
    ) -> Result<Execution, ApiError> {
        let log = self.log_of(sandbox_id, &place.session_id).await?;
        // What stands before its first event is another's.
        let cursor = self.logs.cursor(log.clone(), after.max(place.since));
        let (id, store) = (place.execution_id.clone(), self.store.clone());
        let mut execution = Execution::new(id, store, log, cursor, self.gateway.draining());
        if !place.is_new || after > place.since {
            // After the cursor was made, which no number brings beyond the end that the log has then.
            execution.look_up().await?;
        }
        Ok(execution)
    }
}

/// An ended execution in the words of `result`, and how it ended.
pub(super) fn result(record: &TurnRecord) -> Value {
    json!({
        "success": record.state == TurnState::Completed,
        "sessionId": record.session_id,
        "executionId": record.turn_id,
        "state": record.state,
        "finalText": record.final_text,
        "parts": record.parts,
        "tokenUsage": record.token_usage,
        "error": record.error,
        "timing": {
            "startedAt": record.started_at,
            "endedAt": record.ended_at,
            "durationMs": record.ended_at.map(|end| (end - record.started_at).max(0)),
        },
        "metadata": {
            "sessionId": record.session_id,
            "turnId": record.turn_id,
            "traceId": record.turn_id,
            "model": record.model,
        },
    })
}
