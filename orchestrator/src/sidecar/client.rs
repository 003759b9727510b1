//! The orchestrator's end: HTTP over the sandbox's Unix socket.
//!
//! The other end is trusted with nothing but its own sandbox, so every answer is bounded.

mod archives;
mod repository;

pub(crate) use archives::Packed;

use std::{
    error::Error,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt, stream};
use http::HeaderValue;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    upgrade::Upgraded,
};
use sandbox_sdk::types::{
    Abort, ErrorBody, ErrorCode, Event, Exec, ExecResult, Extra, InteractionAnswer, ReadFile,
    WriteFile,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

use super::{
    api::{ABOUT, FIELDS, MAX_BODY},
    calls::Calls,
    commands::{DEFAULT_TIMEOUT, MAX_TIMEOUT},
    message::{
        AbortAnswer, AgentRun, AnswerTaken, DataEnvelope, FileContent, Health, NetworkTold,
        PersonAnswered, ResultEnvelope, Written,
    },
    ports::{PORTS_PATH, RAW},
};
use crate::{driver::bubblewrap::launch::SOCKET, exchange};

/// Longest answer: a file of the largest size as base64, or two full outputs of control characters.
const MAX_ANSWER: usize = 32 << 20;
/// Longest refusal: a code and a few words.
const MAX_REFUSAL: usize = 64 << 10;
/// Characters of a text beside it.
const MAX_ABOUT: usize = 500;
/// Fields of a request that are told of.
const MAX_FIELDS: usize = 16;
/// Longest event of an agent.
const MAX_EVENT: usize = 4 << 20;
/// For everything but commands, which bring their own.
const PATIENCE: Duration = Duration::from_secs(60);
/// A person waits for it, and so does the turn.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Beyond a command's own time, which the sidecar keeps.
const COMMAND_MARGIN: Duration = Duration::from_secs(10);

/// Why the sidecar did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// No answer: the sandbox is gone or overwhelmed.
    #[error("the sandbox does not answer: {0}")]
    Unreachable(String),
    /// The sidecar refused, with the protocol's status and code.
    #[error("{message}")]
    Refused {
        status: u16,
        code: String,
        message: String,
        /// What it says beside: what is not there, or can't be done, by the envelope's names.
        about: Vec<(&'static str, String)>,
        /// What is wrong with single fields of the request, by name.
        fields: Option<Extra>,
    },
    #[error("the sandbox gave an answer that makes no sense: {0}")]
    Nonsense(String),
}

impl SidecarError {
    /// What a sandbox says no with. Beside code and words only texts of known names are taken.
    pub(crate) fn refused(status: u16, body: ErrorBody) -> Self {
        let told = |name: &'static str| {
            let text = body.extra.get(name)?.as_str()?;
            Some((name, text.chars().take(MAX_ABOUT).collect()))
        };
        let about = ABOUT.into_iter().filter_map(told).collect();
        let fields = body.extra.get(FIELDS).and_then(Value::as_object);
        let cut = |text: &str| text.chars().take(MAX_ABOUT).collect::<String>();
        let fields = fields.map(|fields| {
            let fields = fields.iter().take(MAX_FIELDS);
            let texts = fields.filter_map(|(name, words)| Some((name, words.as_str()?)));
            texts.map(|(name, words)| (cut(name), Value::from(cut(words)))).collect()
        });
        let (code, message) = (body.error.code, body.error.message);
        Self::Refused { status, code, message, about, fields }
    }
}

/// Talks to one sandbox's sidecar. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SidecarClient {
    way: Way,
}

/// How the sidecar is reached.
#[derive(Clone, Debug)]
enum Way {
    /// It listens in the run folder, which is opened: its path may be longer than a socket's may be.
    Socket(Arc<OwnedFd>),
    /// It calls.
    Calls(Calls),
}

impl SidecarClient {
    pub(crate) fn new(run: OwnedFd) -> Self {
        Self { way: Way::Socket(Arc::new(run)) }
    }

    pub(crate) fn called(calls: Calls) -> Self {
        Self { way: Way::Calls(calls) }
    }

    pub async fn health(&self) -> Result<Health, SidecarError> {
        let request = request(Method::GET, "/health", Bytes::new())?;
        within(PATIENCE, self.answer(request)).await
    }

    /// Runs a command to its end. Dropping the future kills it.
    pub async fn exec(&self, exec: Exec) -> Result<ExecResult, SidecarError> {
        let patience = patience_with(&exec);
        let request = request(Method::POST, "/terminals/commands", encode(&exec)?)?;
        // It may be long, and so may be the wait.
        drop(exec);
        Ok(within(patience, self.answer::<ResultEnvelope<_>>(request)).await?.result)
    }

    pub async fn read(&self, file: &ReadFile) -> Result<FileContent, SidecarError> {
        let call = self.post::<_, DataEnvelope<_>>("/files/read", file);
        Ok(within(PATIENCE, call).await?.data)
    }

    /// Writes a file and returns its size in bytes.
    pub async fn write(&self, file: &WriteFile) -> Result<u64, SidecarError> {
        let call = self.post::<_, DataEnvelope<Written>>("/files/write", file);
        Ok(within(PATIENCE, call).await?.data.size)
    }

    /// Stops a turn. Whether it ran.
    pub async fn abort(&self, turn_id: &str) -> Result<bool, SidecarError> {
        let abort = Abort { turn_id: Some(turn_id.to_owned()) };
        let call = self.post::<_, AbortAnswer>("/agents/abort", &abort);
        Ok(within(PATIENCE, call).await?.cancelled)
    }

    /// Hands a person's answer to the turn's agent. Whether it waited for one.
    pub async fn give_answer(
        &self,
        turn_id: &str,
        answer: &InteractionAnswer,
    ) -> Result<bool, SidecarError> {
        let body = PersonAnswered { turn_id: turn_id.to_owned(), answer: answer.clone() };
        let give = || self.post::<_, AnswerTaken>("/agents/interactions", &body);
        let call = async {
            match give().await {
                // It may have come through; then it is told the same again.
                Err(SidecarError::Unreachable(_)) => give().await,
                told => told,
            }
        };
        Ok(within(ANSWER_PATIENCE, call).await?.taken)
    }

    /// Starts a turn and streams its events, [`AGENT_FINISHED`](super::AGENT_FINISHED) last. A stream
    /// that ends without it means that the agent died. Dropping the stream stops the agent.
    pub async fn run_agent(
        &self,
        run: &AgentRun,
    ) -> Result<impl Stream<Item = Result<Event, SidecarError>> + Send + Unpin + use<>, SidecarError>
    {
        let request = request(Method::POST, "/agents/run/stream", encode(run)?)?;
        let response = within(PATIENCE, self.send(request)).await?;
        Ok(Box::pin(events(response.into_body())))
    }

    async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, SidecarError> {
        self.answer(request(Method::POST, path, encode(body)?)?).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<T, SidecarError> {
        let body = collect(self.send(request).await?.into_body(), MAX_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|error| SidecarError::Nonsense(error.to_string()))
    }

    /// Sends a request over a connection of its own; a refusal is an error. It waits as long as the
    /// sandbox likes.
    pub(crate) async fn send<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, SidecarError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let response = exchange::send(self.connect().await?, request).await.map_err(unreachable)?;
        // A range beyond the end is told where the end is, in a header.
        let is_range = response.status() == StatusCode::RANGE_NOT_SATISFIABLE;
        if response.status().is_success() || is_range {
            return Ok(response);
        }
        Err(refused(response).await)
    }

    /// Says whether programs that are started from now on are told of the way to the network.
    pub(crate) async fn tell_network(&self, reachable: bool) -> Result<(), SidecarError> {
        let told = NetworkTold { reachable };
        let call = self.post::<_, NetworkTold>("/network", &told);
        within(PATIENCE, call).await.map(drop)
    }

    /// A connection to a port of the sandbox. 404 when nothing listens there, 403 for a port that is
    /// the sidecar's own.
    pub(crate) async fn dial(&self, port: u16) -> Result<Upgraded, SidecarError> {
        let call = async {
            let path = format!("{PORTS_PATH}{port}");
            let mut request = request(Method::GET, &path, Bytes::new())?;
            let headers = request.headers_mut();
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(http::header::UPGRADE, HeaderValue::from_static(RAW));
            let stream = self.connect().await?;
            let response = exchange::upgrade(stream, request).await.map_err(unreachable)?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(refused(response).await);
            }
            hyper::upgrade::on(response).await.map_err(unreachable)
        };
        within(PATIENCE, call).await
    }

    /// A connection to the sidecar.
    pub(crate) async fn connect(&self) -> Result<UnixStream, SidecarError> {
        match &self.way {
            Way::Socket(run) => {
                let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", run.as_raw_fd()));
                UnixStream::connect(path).await.map_err(unreachable)
            }
            Way::Calls(calls) => {
                within(PATIENCE, async { calls.take().await.map_err(unreachable) }).await
            }
        }
    }
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, SidecarError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "sandbox")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| SidecarError::Nonsense(error.to_string()))
}

/// Nothing is sent that would be refused for its size: the sidecar would hang up in the middle of it,
/// and its words might be lost.
fn encode(body: &impl Serialize) -> Result<Bytes, SidecarError> {
    let bytes =
        serde_json::to_vec(body).map_err(|error| SidecarError::Nonsense(error.to_string()))?;
    if bytes.len() > MAX_BODY {
        let code = ErrorCode::TooLarge;
        return Err(SidecarError::Refused {
            status: code.status(),
            code: code.as_str().to_owned(),
            message: format!("a request has at most {} MB here", MAX_BODY >> 20),
            about: Vec::new(),
            fields: None,
        });
    }
    Ok(bytes.into())
}

async fn collect(body: Incoming, most: usize) -> Result<Bytes, SidecarError> {
    let collected = Limited::new(body, most).collect().await;
    Ok(collected.map_err(unreachable)?.to_bytes())
}

async fn refused(response: Response<Incoming>) -> SidecarError {
    let status = response.status();
    match collect(response.into_body(), MAX_REFUSAL).await {
        Ok(body) => refusal(status, &body),
        Err(error) => error,
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> SidecarError {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => SidecarError::refused(status.as_u16(), body),
        Err(_) => SidecarError::Nonsense(format!("status {status}")),
    }
}

/// The `data:` lines of a server-sent event stream, which the sidecar writes one for an event.
fn events(body: Incoming) -> impl Stream<Item = Result<Event, SidecarError>> + Send {
    stream::try_unfold((body, BytesMut::new()), |(mut body, mut buffer)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                let Some(data) = line.strip_prefix(b"data:") else { continue };
                let event = serde_json::from_slice(data)
                    .map_err(|error| SidecarError::Nonsense(error.to_string()))?;
                return Ok(Some((event, (body, buffer))));
            }
            if buffer.len() > MAX_EVENT {
                return Err(SidecarError::Nonsense("an event is too large".into()));
            }
            match body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(unreachable)?.into_data() {
                        buffer.extend_from_slice(&data);
                    }
                }
                None => return Ok(None),
            }
        }
    })
    .into_stream()
}

/// What a sidecar that answers at all needs for a command.
fn patience_with(exec: &Exec) -> Duration {
    let limit = exec.timeout.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    limit.min(MAX_TIMEOUT) + COMMAND_MARGIN
}

async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, SidecarError>>,
) -> Result<T, SidecarError> {
    let late = |_| SidecarError::Unreachable("it took too long".into());
    timeout(patience, call).await.map_err(late)?
}

fn unreachable(error: impl std::fmt::Display) -> SidecarError {
    SidecarError::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_waited_for_as_long_as_the_sidecar_lets_it_run() {
        let seconds = |timeout| patience_with(&Exec { timeout, ..Exec::default() }).as_secs();
        assert_eq!((seconds(None), seconds(Some(2_000))), (130, 12));
        assert_eq!(seconds(Some(u64::MAX)), 3_610);
    }
}
