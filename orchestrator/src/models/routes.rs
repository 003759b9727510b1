//! What can be asked through a door, and by whom.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_LENGTH},
    },
    response::Response,
    routing::{get, post},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use sandbox_sdk::types::WireFormat;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    ModelGateway,
    answer::{json_response, refusal},
    forward,
    turn::{Denied, OpenTurn},
};

/// Largest body of a request: a long conversation with images.
pub(super) const MAX_BODY: usize = 32 << 20;
/// Time a client has to send it.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

const MESSAGES: &str = "/v1/messages";
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
const RESPONSES: &str = "/v1/responses";
const CHAT_COMPLETIONS: &str = "/v1/chat/completions";

/// One sandbox's way in.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) gateway: ModelGateway,
    pub(super) sandbox_id: Arc<str>,
    /// A permit for each byte of a request that may be in memory.
    pub(super) memory: Arc<Semaphore>,
}

pub(super) fn router(door: Door) -> Router {
    Router::new()
        // `GET` answers `HEAD` as well, which one of the clients begins with.
        .route("/", get(hello))
        .route("/v1/models", get(models))
        .route(MESSAGES, post(ask))
        .route(COUNT_TOKENS, post(count))
        .route(RESPONSES, post(ask))
        .route(CHAT_COMPLETIONS, post(ask))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        // Bodies are bounded where they are read.
        .layer(DefaultBodyLimit::disable())
        .with_state(door)
}

async fn hello() -> &'static str {
    "model gateway\n"
}

async fn unknown(method: Method, uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("The model gateway has no {method} {path}.");
    refusal(format_of(uri.path()), StatusCode::NOT_FOUND, &message)
}

/// The turn's model, in a shape that clients of all formats read.
async fn models(State(door): State<Door>, request: Request) -> Response {
    let turn = match door.turn(request.headers()) {
        Ok(turn) => turn,
        Err((status, message)) => return refusal(None, status, message),
    };
    let id = &turn.model.id;
    let owner = &turn.model.provider.id;
    json_response(&json!({
        "object": "list",
        "data": [{
            "id": id, "type": "model", "object": "model", "display_name": id,
            "created": 0, "created_at": "1970-01-01T00:00:00Z", "owned_by": owner,
        }],
        "first_id": id, "last_id": id, "has_more": false,
    }))
}

async fn ask(State(door): State<Door>, request: Request) -> Response {
    door.forward(request, false).await.unwrap_or_else(|refused| refused)
}

async fn count(State(door): State<Door>, request: Request) -> Response {
    door.forward(request, true).await.unwrap_or_else(|refused| refused)
}

impl Door {
    pub(super) async fn forward(
        &self,
        request: Request,
        counting: bool,
    ) -> Result<Response, Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let format = format_of(path).unwrap_or(WireFormat::ChatCompletions);
        let refuse = |status, message: &str| refusal(Some(format), status, message);
        // Nothing is read of a body before it is known who sends it.
        let turn =
            self.turn(&parts.headers).map_err(|(status, message)| refuse(status, message))?;
        if !turn.model.provider.formats.contains(&format) {
            let message = "The turn's model is not spoken to in this format.";
            return Err(refuse(StatusCode::NOT_FOUND, message));
        }
        let (body, memory) = self
            .read(&parts.headers, body)
            .await
            .map_err(|(status, message)| refuse(status, message))?;
        let head = forward::Head::new(format, &parts.headers, parts.uri.query(), counting);
        let sent = if counting {
            forward::count(turn, head, body, memory).await
        } else {
            forward::ask(turn, head, body, memory).await
        };
        sent.map_err(|refused| match refused {
            forward::Refused::Invalid(message) => refuse(StatusCode::BAD_REQUEST, &message),
            forward::Refused::Denied(Denied::Closed) => {
                refuse(StatusCode::FORBIDDEN, "The turn is over.")
            }
            // No client tries again after this one.
            forward::Refused::Denied(Denied::UsedUp(why)) => {
                refuse(StatusCode::PAYMENT_REQUIRED, &why.message)
            }
        })
    }

    /// The turn that the request's token opens.
    fn turn(&self, headers: &HeaderMap) -> Result<Arc<OpenTurn>, (StatusCode, &'static str)> {
        let token = token(headers).ok_or((StatusCode::UNAUTHORIZED, "The token is missing."))?;
        let turn = self.gateway.turn(token).filter(|turn| turn.sandbox_id == *self.sandbox_id);
        // Not 401: with that, clients try the same token again for minutes.
        turn.ok_or((StatusCode::FORBIDDEN, "The token is wrong, or its turn is over."))
    }

    /// The whole body, and the right to keep it in memory.
    async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), (StatusCode, &'static str)> {
        const TOO_LARGE: (StatusCode, &str) =
            (StatusCode::PAYLOAD_TOO_LARGE, "The request is larger than 32 MiB.");
        const LATE: (StatusCode, &str) =
            (StatusCode::REQUEST_TIMEOUT, "The request took too long to come.");
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(MAX_BODY);
        if length > MAX_BODY {
            return Err(TOO_LARGE);
        }
        let permits = u32::try_from(length).unwrap_or(u32::MAX);
        let reading = async {
            let memory = self.memory.clone().acquire_many_owned(permits).await;
            let memory = memory.map_err(|_| LATE)?;
            let mut kept = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let broken = (StatusCode::BAD_REQUEST, "The request could not be read.");
                let Ok(data) = frame.map_err(|_| broken)?.into_data() else { continue };
                if kept.len() + data.len() > length {
                    return Err(TOO_LARGE);
                }
                kept.extend_from_slice(&data);
            }
            Ok((kept.freeze(), memory))
        };
        timeout(BODY_PATIENCE, reading).await.unwrap_or(Err(LATE))
    }
}

/// Where requests of a format go.
pub(super) fn path_of(format: WireFormat) -> &'static str {
    match format {
        WireFormat::Messages => MESSAGES,
        WireFormat::Responses => RESPONSES,
        WireFormat::ChatCompletions => CHAT_COMPLETIONS,
    }
}

fn format_of(path: &str) -> Option<WireFormat> {
    match path {
        MESSAGES | COUNT_TOKENS => Some(WireFormat::Messages),
        RESPONSES => Some(WireFormat::Responses),
        CHAT_COMPLETIONS => Some(WireFormat::ChatCompletions),
        _ => None,
    }
}

/// From either of the headers that clients put it into.
fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()))
}
