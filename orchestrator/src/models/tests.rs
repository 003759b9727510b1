//! The gateway as an agent in a sandbox meets it: over its socket, to a real server behind it.

mod catalog;
mod check;
mod failures;
mod figures;
mod hostile;
mod limits;
mod metering;
mod upstream;

use std::{io, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Incoming, header::HeaderMap};
use sandbox_sdk::types::{
    AgentInfo, BackendChoice, ModelChoice, TurnLimits, WireFormat,
    WireFormat::{ChatCompletions, Messages, Responses},
};
use scripted_model::ScriptedModel;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixStream;

use super::*;
use crate::exchange;
use upstream::Upstream;

const SANDBOX: &str = "box";
const ANTHROPIC_KEY: &str = "sk-ant-0123456789-secret";
const OPENAI_KEY: &str = "sk-oai-0123456789-secret";
/// For what a slow machine may take its time with.
const PATIENCE: Duration = Duration::from_secs(60);
const FORMATS: [WireFormat; 3] = [Messages, Responses, ChatCompletions];

/// A gateway with a door for one sandbox.
struct Bench {
    folder: TempDir,
    gateway: ModelGateway,
    _door: ModelSocket,
}

/// What a client got.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    /// It came to its end.
    whole: bool,
}

impl Bench {
    /// A gateway whose providers are all at one address.
    fn at(url: &str) -> Self {
        Self::with(|config| {
            config.anthropic_base_url = Some(url.to_owned());
            config.openai_base_url = Some(url.to_owned());
        })
    }

    fn with(configure: impl FnOnce(&mut ModelsConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = ModelsConfig {
            anthropic_api_key: Some(ANTHROPIC_KEY.into()),
            openai_api_key: Some(OPENAI_KEY.into()),
            ..ModelsConfig::default()
        };
        configure(&mut config);
        let gateway = ModelGateway::new(&config, agents).unwrap();
        let door = gateway.listen(SANDBOX, folder.path()).unwrap();
        Self { folder, gateway, _door: door }
    }

    /// A turn of an agent that speaks the format.
    async fn open(&self, format: WireFormat, limits: TurnLimits) -> (ModelAccess, TurnMeter) {
        let (agent, provider) = match format {
            Messages => ("claude-code", "anthropic"),
            Responses => ("codex", "openai"),
            ChatCompletions => ("skein", "openai"),
        };
        self.open_with(&asked(agent, provider, "scripted-1"), limits).await
    }

    async fn open_with(
        &self,
        asked: &BackendChoice,
        limits: TurnLimits,
    ) -> (ModelAccess, TurnMeter) {
        let choice = self.gateway.choose(asked).await.unwrap();
        let opened = self.gateway.open(SANDBOX, "t1", &choice, &limits).unwrap();
        (opened.access.unwrap(), opened.meter.unwrap())
    }

    async fn ask(&self, access: &ModelAccess, body: &Value) -> Answer {
        let path = path_of(access.format);
        post(self.folder.path(), path, &access.token, body.to_string()).await.unwrap()
    }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The message of a refusal in the format's own shape.
    #[track_caller]
    fn refused(&self, format: WireFormat, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["type"] == "error", format == Messages, "{body}");
        assert!(body["error"]["type"].is_string(), "{body}");
        body["error"]["message"].as_str().unwrap().to_owned()
    }
}

fn agents() -> Vec<AgentInfo> {
    let agent = |id: &str, formats: &[WireFormat], available| AgentInfo {
        id: id.to_owned(),
        name: id.to_owned(),
        available,
        formats: formats.to_vec(),
        ..AgentInfo::default()
    };
    vec![
        agent("demo", &[], true),
        agent("skein", &[Messages, ChatCompletions], true),
        agent("claude-code", &[Messages], true),
        agent("codex", &[Responses], true),
        agent("opencode", &[ChatCompletions, Messages], false),
    ]
}

fn asked(agent: &str, provider: &str, model: &str) -> BackendChoice {
    let model = ModelChoice {
        provider: Some(provider.to_owned()),
        model: Some(model.to_owned()),
        ..ModelChoice::default()
    };
    BackendChoice { kind: Some(agent.to_owned()), model: Some(model), ..BackendChoice::default() }
}

fn path_of(format: WireFormat) -> &'static str {
    match format {
        Messages => "/v1/messages",
        Responses => "/v1/responses",
        ChatCompletions => "/v1/chat/completions",
    }
}

/// A request of each format that says so much.
fn prompt(format: WireFormat, text: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": text}]);
    match format {
        Messages => json!({
            "model": "scripted-1", "max_tokens": 4096, "messages": messages, "stream": stream,
        }),
        Responses => json!({"model": "scripted-1", "input": text, "stream": stream}),
        ChatCompletions => {
            json!({"model": "scripted-1", "messages": messages, "stream": stream})
        }
    }
}

async fn post(
    root: &Path,
    path: &str,
    token: &str,
    body: impl Into<Bytes>,
) -> Result<Answer, hyper::Error> {
    let request = Request::post(path)
        .header("host", "gateway")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(body.into()))
        .unwrap();
    send(root, request).await
}

async fn send(root: &Path, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
    let response = start(root, request).await?;
    let (parts, mut body) = response.into_parts();
    let (mut bytes, mut whole) = (BytesMut::new(), true);
    while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap() {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    let (status, headers) = (parts.status.as_u16(), parts.headers);
    Ok(Answer { status, headers, body: bytes.freeze(), whole })
}

/// Sends a request over a connection of its own, which closes when the response is dropped.
async fn start(
    root: &Path,
    request: Request<Full<Bytes>>,
) -> Result<hyper::Response<Incoming>, hyper::Error> {
    let stream = connect(root).await.unwrap();
    tokio::time::timeout(PATIENCE, exchange::send(stream, request)).await.unwrap()
}

async fn connect(root: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(root.join("run/models.sock")).await
}

/// Looks until it is there.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
