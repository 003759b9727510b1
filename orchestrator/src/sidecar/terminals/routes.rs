//! Terminals as the runtime API has them.

use std::convert::Infallible;

use axum::{
    Json, Router,
    body::Body as HttpBody,
    extract::{Path, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use futures::stream;
use sandbox_sdk::types::{ErrorCode, OpenTerminal, ResizeTerminal, TerminalInfo, TerminalInput};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    super::{
        api::{Body, Known, Problem, Services},
        characters::Characters,
        events::{KEEP_ALIVE, QUIET, event},
        message::DataEnvelope,
        signal,
    },
    size_of, socket,
    terminal::{Shown, Viewer},
};
use crate::unread;

pub(in crate::sidecar) fn routes() -> Router<Services> {
    Router::new()
        .route("/terminals", get(list).post(open))
        .route("/terminals/{id}", get(read).patch(resize).delete(close))
        .route("/terminals/{id}/stream", get(watch))
        .route("/terminals/{id}/input", post(input))
        .route("/terminals/{id}/execute", post(input))
        .route("/terminals/{id}/ws", get(socket::attach))
}

/// Enveloped and flat, for both kinds of readers.
#[derive(Serialize)]
struct Opened {
    success: bool,
    data: TerminalInfo,
    #[serde(flatten)]
    flat: TerminalInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

fn opened(info: TerminalInfo, unread: &[String]) -> Json<Opened> {
    let warnings = unread::warnings(unread);
    Json(Opened { success: true, data: info.clone(), flat: info, warnings })
}

async fn open(
    State(services): State<Services>,
    Known(wanted, unread): Known<OpenTerminal>,
) -> Result<Json<Opened>, Problem> {
    let terminal = services.terminals.open(wanted, None).await?;
    Ok(opened(terminal.info(), &unread))
}

async fn list(State(services): State<Services>) -> Json<DataEnvelope<Vec<TerminalInfo>>> {
    let data = services.terminals.all().values().map(|terminal| terminal.info()).collect();
    Json(DataEnvelope { success: true, data })
}

async fn read(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<Opened>, Problem> {
    Ok(opened(services.terminals.find(&id)?.info(), &[]))
}

async fn close(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = services.terminals.find(&id)?.about.id.clone();
    let deleted = services.terminals.remove(&id);
    let data = json!({"deleted": deleted, "sessionId": id, "session_id": id});
    Ok(Json(json!({
        "success": true, "deleted": deleted, "sessionId": id, "session_id": id, "data": data,
    })))
}

async fn resize(
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Body<ResizeTerminal>,
) -> Result<Json<DataEnvelope<TerminalInfo>>, Problem> {
    let Json(ResizeTerminal { cols, rows }) = body?;
    let terminal = services.terminals.find(&id)?;
    terminal.resize(size_of(cols, rows)?)?;
    Ok(Json(DataEnvelope { success: true, data: terminal.info() }))
}

async fn input(
    State(services): State<Services>,
    Path(id): Path<String>,
    body: Body<TerminalInput>,
) -> Result<Json<Value>, Problem> {
    let Json(TerminalInput { data, command }) = body?;
    let terminal = services.terminals.find(&id)?;
    let command = command.filter(|command| !command.is_empty()).map(|command| command + "\n");
    let nothing = || Problem::new(ErrorCode::InvalidInput, "data or command is needed");
    let typed = data.filter(|data| !data.is_empty()).or(command).ok_or_else(nothing)?;
    terminal.input(Bytes::from(typed)).await?;
    Ok(Json(json!({"success": true, "data": {"sessionId": terminal.about.id}})))
}

/// What is shown, as server-sent events: first what was shown lately. Each holds what either kind
/// of reader looks for.
async fn watch(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    // Nobody cuts off a stream that is not read, so that nothing waits for it either.
    let viewer = Viewer::new(services.terminals.find(&id)?, false)?;
    let start = (viewer, Characters::default());
    let frames = stream::unfold(start, |(mut viewer, mut characters)| async move {
        let frame = match timeout(QUIET, viewer.next()).await {
            Err(_) => KEEP_ALIVE,
            Ok(None) => return None,
            Ok(Some(Shown::Output(bytes))) => output(&characters.push(&bytes)),
            Ok(Some(Shown::Lost)) => {
                characters = Characters::default();
                event("truncated", &json!({"type": "truncated", "properties": {}}))
            }
            Ok(Some(Shown::Exit(code))) => {
                let signal = signal::of_exit(code);
                let properties = json!({"exitCode": code, "exitSignal": signal});
                let exit = json!({
                    "type": "exit", "properties": properties,
                    "exitCode": code, "exitSignal": signal,
                });
                event("exit", &exit)
            }
        };
        Some((Ok::<Bytes, Infallible>(frame), (viewer, characters)))
    });
    let mut response = Response::new(HttpBody::from_stream(frames));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn output(text: &str) -> Bytes {
    event("output", &json!({"type": "data.stdout", "properties": {"text": text}, "data": text}))
}
