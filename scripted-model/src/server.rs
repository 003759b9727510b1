//! The HTTP side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, OriginalUri, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sandbox_sdk::types::WireFormat;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Answer, Reply};
use crate::faults::Faults;
use crate::playback::Playback;
use crate::recorded::{Entry, Log, Recorded, Usage};
use crate::request::Request;
use crate::wire;

const MAX_BODY: usize = 64 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Server {
    log: Log,
    stopped: CancellationToken,
    faults: Arc<Faults>,
    /// Requests answered so far: no two cost the same.
    serial: Arc<AtomicU64>,
}

impl Server {
    pub(crate) fn new(log: Log, stopped: CancellationToken) -> Self {
        Self { log, stopped, faults: Arc::default(), serial: Arc::default() }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/", get(|| async { "A scripted model." }))
            .route("/v1/models", get(models))
            .route("/v1/messages", post(messages))
            .route("/v1/messages/count_tokens", post(count_tokens))
            .route("/v1/responses", post(responses))
            .route("/v1/chat/completions", post(chat_completions))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self)
    }
}

async fn messages(
    server: State<Server>,
    headers: HeaderMap,
    uri: OriginalUri,
    body: Bytes,
) -> Response {
    server.answer(Incoming::new(WireFormat::Messages, &headers, &uri, &body)).await
}

async fn responses(
    server: State<Server>,
    headers: HeaderMap,
    uri: OriginalUri,
    body: Bytes,
) -> Response {
    server.answer(Incoming::new(WireFormat::Responses, &headers, &uri, &body)).await
}

async fn chat_completions(
    server: State<Server>,
    headers: HeaderMap,
    uri: OriginalUri,
    body: Bytes,
) -> Response {
    server.answer(Incoming::new(WireFormat::ChatCompletions, &headers, &uri, &body)).await
}

async fn count_tokens(
    server: State<Server>,
    headers: HeaderMap,
    uri: OriginalUri,
    body: Bytes,
) -> Response {
    let incoming = Incoming::new(WireFormat::Messages, &headers, &uri, &body);
    if let Some((status, why)) = incoming.refusal() {
        return server.fail(incoming, status, why);
    }
    server.record(incoming, StatusCode::OK).finish(Usage::default());
    Json(json!({"input_tokens": body.len() / 4})).into_response()
}

/// In one shape that clients of both providers read.
async fn models(headers: HeaderMap) -> Response {
    if is_refused(key(&headers).as_deref()) {
        let body = wire::error(WireFormat::ChatCompletions, 401, REFUSED);
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    let model = |id: &str| {
        json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "scripted",
            "type": "model", "display_name": id, "created_at": "2023-11-14T22:13:20Z"})
    };
    let (first, last) = ("scripted-1", "scripted-2");
    Json(json!({"object": "list", "data": [model(first), model(last)],
        "has_more": false, "first_id": first, "last_id": last}))
    .into_response()
}

/// A `POST`, as it came.
struct Incoming {
    format: WireFormat,
    path: String,
    key: Option<String>,
    body: Value,
    size: u64,
}

const REFUSED: &str = "The key is not valid.";

/// A key that begins so stands for one that the provider does not know.
fn is_refused(key: Option<&str>) -> bool {
    key.is_some_and(|key| key.starts_with("wrong"))
}

impl Incoming {
    fn new(format: WireFormat, headers: &HeaderMap, uri: &OriginalUri, body: &[u8]) -> Self {
        Self {
            format,
            path: uri.path().to_owned(),
            key: key(headers),
            body: serde_json::from_slice(body).unwrap_or_default(),
            size: body.len() as u64,
        }
    }

    fn refusal(&self) -> Option<(u16, &'static str)> {
        if is_refused(self.key.as_deref()) {
            Some((401, REFUSED))
        } else if !self.body.is_object() {
            Some((400, "The body is not a JSON object."))
        } else if self.body["model"].as_str().is_some_and(|model| model.starts_with("missing")) {
            Some((404, "There is no such model."))
        } else {
            None
        }
    }
}

fn key(headers: &HeaderMap) -> Option<String> {
    let header = |name: HeaderName| headers.get(name)?.to_str().ok();
    header(HeaderName::from_static("x-api-key"))
        .or_else(|| header(header::AUTHORIZATION)?.strip_prefix("Bearer "))
        .map(str::to_owned)
}

impl Server {
    async fn answer(&self, incoming: Incoming) -> Response {
        if let Some((status, why)) = incoming.refusal() {
            return self.fail(incoming, status, why);
        }
        let request = Request::read(incoming.format, &incoming.body);
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let key = incoming.key.as_deref().unwrap_or_default();
        match answer::decide(&request, key, serial, &self.faults) {
            // As some providers do, in the key's own words: whoever passes it on gives the key away.
            Reply::Fail(401) => {
                let why = format!("Incorrect key: {key}");
                self.fail(incoming, 401, &why)
            }
            Reply::Fail(status) => self.fail(incoming, status, "The script says so."),
            Reply::Answer(answer) => {
                let entry = self.record(incoming, StatusCode::OK);
                match request.stream {
                    true => self.stream(&request, &answer, entry),
                    false => self.whole(&request, &answer, entry).await,
                }
            }
        }
    }

    fn record(&self, incoming: Incoming, status: StatusCode) -> Entry {
        let model = incoming.body["model"].as_str().unwrap_or_default().to_owned();
        self.log.add(Recorded {
            path: incoming.path,
            format: incoming.format,
            key: incoming.key,
            body: incoming.body,
            size: incoming.size,
            status: status.as_u16(),
            usage: Usage::default(),
            written: 0,
            complete: false,
            model,
        })
    }

    fn fail(&self, incoming: Incoming, status: u16, why: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = wire::error(incoming.format, status.as_u16(), why);
        self.record(incoming, status).finish(Usage::default());
        let mut response = (status, Json(error)).into_response();
        if matches!(status.as_u16(), 429 | 503 | 529) {
            response.headers_mut().insert(header::RETRY_AFTER, 1.into());
        }
        response
    }

    fn stream(&self, request: &Request, answer: &Answer, entry: Entry) -> Response {
        let playback = Playback {
            frames: wire::stream(request.format, answer, request.stream_usage).into_iter(),
            delay: answer.delay,
            cut: answer.cut.map(|cut| cut.how),
            usage: answer.usage,
            entry,
            stopped: self.stopped.clone(),
        };
        let headers =
            [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        (headers, playback.into_body()).into_response()
    }

    /// Takes as long as the same answer would take as a stream.
    async fn whole(&self, request: &Request, answer: &Answer, entry: Entry) -> Response {
        if !answer.delay.is_zero() {
            let deltas = wire::stream(request.format, answer, false);
            let deltas = deltas.iter().filter(|frame| frame.delta).count();
            let all = u32::try_from(deltas).unwrap_or(u32::MAX);
            let wait = answer.delay.checked_mul(all).unwrap_or(Duration::MAX);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stopped.cancelled() => {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
            }
        }
        let mut text = wire::whole(request.format, answer).to_string();
        if answer.malformed {
            // The beginning is ids and names in every format: ASCII, so it can be cut anywhere.
            text.truncate(30);
        }
        entry.finish(answer.usage);
        ([(header::CONTENT_TYPE, "application/json")], Body::from(text)).into_response()
    }
}
