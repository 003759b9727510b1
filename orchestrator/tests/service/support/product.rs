//! The product's side: its keys, its calls, its tokens.

use orchestrator::{Config, Orchestrator, Secrets};
use reqwest::{Method, StatusCode, header::HeaderMap};
use sandbox_sdk::auth::{IssueRequest, IssuerConfig, ProductTokenIssuer, Tier};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, Viewer, eventually};

pub(crate) const USER: &str = "alice";
pub(crate) const ORIGIN: &str = "http://127.0.0.1:3000";

/// What an orchestrator answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A product with an orchestrator to itself, in this process unless it is given another's address.
pub(crate) struct Product {
    pub(crate) base: String,
    pub(crate) secrets: Secrets,
    pub(crate) http: reqwest::Client,
    pub(crate) orchestrator: Option<Orchestrator>,
    _data: Option<TempDir>,
}

impl Answer {
    /// The body, of an answer that must have the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// Checks that it is a refusal in the one envelope.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        let body = &self.body;
        assert_eq!(body["success"], json!(false), "{body}");
        assert_eq!((&body["code"], &body["error"]["code"]), (&json!(code), &json!(code)));
        assert_eq!(body["message"], body["error"]["message"]);
        assert!(!body["message"].as_str().unwrap().is_empty());
        assert!(self.headers.contains_key("x-request-id"));
        self.body
    }
}

impl Product {
    /// An orchestrator whose agent speaks as fast as it can.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::new(data.path());
        config.addr = "127.0.0.1:0".parse().unwrap();
        config.demo_pace_ms = 0;
        // The test binary is no sidecar.
        config.sidecar_binary = Some(env!("CARGO_BIN_EXE_orchestrator").into());
        configure(&mut config);
        let secrets = Secrets::load_or_create(&config.data).unwrap();
        let orchestrator = orchestrator::start(config).await.unwrap();
        let base = format!("http://{}", orchestrator.local_addr());
        Self { orchestrator: Some(orchestrator), _data: Some(data), ..Self::at(base, secrets) }
    }

    /// A product of an orchestrator that runs elsewhere.
    pub(crate) fn at(base: String, secrets: Secrets) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, secrets, http, orchestrator: None, _data: None }
    }

    pub(crate) async fn stop(mut self) {
        self.orchestrator.take().unwrap().shutdown().await;
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.bearer_auth(self.secrets.api_key.expose_secret())
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Makes a sandbox and waits until it runs.
    pub(crate) async fn sandbox(&self) -> String {
        let made = self.post("/v1/sandboxes", json!({})).await.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        self.sandbox_is(&id, "running").await;
        id
    }

    pub(crate) async fn sandbox_is(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), async || {
            let sandbox = self.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
            assert!(sandbox["status"] != "failed", "{sandbox}");
            (sandbox["status"] == status).then_some(sandbox)
        })
        .await
    }

    /// Registers a session of the product's user.
    pub(crate) async fn map(&self, session: &str, sandbox: &str) {
        let mapping = json!({"userId": USER, "sandboxId": sandbox});
        self.put(&format!("/v1/session/{session}/mapping"), mapping).await.expect(200);
    }

    pub(crate) async fn dispatch(
        &self,
        sandbox: &str,
        session: &str,
        turn: &str,
        text: &str,
    ) -> Answer {
        self.dispatch_with(sandbox, session, turn, text, json!({})).await
    }

    pub(crate) async fn dispatch_with(
        &self,
        sandbox: &str,
        session: &str,
        turn: &str,
        text: &str,
        limits: Value,
    ) -> Answer {
        let path = format!("/v1/sandboxes/{sandbox}/runtime/agents/sessions/{session}/messages");
        let parts = json!([{"type": "text", "text": text}]);
        self.post(&path, json!({"turnId": turn, "parts": parts, "limits": limits})).await
    }

    pub(crate) async fn exec(&self, sandbox: &str, command: &str) -> Value {
        let path = format!("/v1/sandboxes/{sandbox}/runtime/terminals/commands");
        let answer = self.post(&path, json!({"command": command})).await.expect(200);
        answer["result"].clone()
    }

    pub(crate) fn session_path(&self, sandbox: &str, session: &str) -> String {
        format!("/v1/sandboxes/{sandbox}/runtime/agents/sessions/{session}")
    }

    /// The record of a turn, once it has ended.
    pub(crate) async fn record(&self, sandbox: &str, session: &str, turn: &str) -> Value {
        let path = format!("{}/turns/{turn}", self.session_path(sandbox, session));
        eventually("the turn ends", async || {
            let record = self.get(&path).await.expect(200);
            (record["state"] != "running").then_some(record)
        })
        .await
    }

    /// Everything in a session's log up to now, read as server-sent events.
    pub(crate) async fn log(&self, sandbox: &str, session: &str) -> Vec<(u64, String, Value)> {
        let path = self.session_path(sandbox, session);
        let last = self.get(&path).await.expect(200)["lastSeq"].as_u64().unwrap();
        let request = self.request(Method::GET, &format!("{path}/events"));
        self.events(request, usize::try_from(last).unwrap()).await
    }

    /// The first events of a stream.
    pub(crate) async fn events(
        &self,
        request: reqwest::RequestBuilder,
        count: usize,
    ) -> Vec<(u64, String, Value)> {
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let (mut text, mut events) = (String::new(), Vec::new());
        while events.len() < count {
            let chunk = answer.chunk().await.unwrap().expect("the stream ended early");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((frame, rest)) = text.split_once("\n\n") {
                events.extend(parse_frame(frame));
                text = rest.to_owned();
            }
        }
        events
    }

    pub(crate) fn token(&self, user: &str, session: &str) -> String {
        let secret = self.secrets.signing_secret.clone();
        let issuer = ProductTokenIssuer::new(IssuerConfig::new("skein", secret)).unwrap();
        let request = IssueRequest {
            user_id: user.to_owned(),
            session_id: session.to_owned(),
            tier: Tier::Free,
            sandbox_id: None,
        };
        issuer.issue(&request).unwrap().token
    }

    pub(crate) async fn viewer(&self, session: &str, since: u64) -> Viewer {
        let url = format!("{}/session?since={since}", self.base.replacen("http", "ws", 1));
        Viewer::open(&url, &self.token(USER, session)).await
    }
}

/// The kinds of all events of a stream, which has to end.
pub(crate) async fn kinds_to_the_end(stream: reqwest::Response) -> Vec<String> {
    let text = tokio::time::timeout(PATIENCE, stream.text()).await.expect("it does not end");
    let text = text.unwrap();
    text.split_terminator("\n\n").filter_map(parse_frame).map(|(_, kind, _)| kind).collect()
}

/// `event`, `id` and `data` of a frame, as strictly as the strictest reader; `None`: a comment.
fn parse_frame(frame: &str) -> Option<(u64, String, Value)> {
    if frame.starts_with(':') {
        return None;
    }
    let mut lines = frame.lines();
    let mut line = |field: &str| lines.next()?.strip_prefix(field).map(str::to_owned);
    let kind = line("event: ").unwrap();
    let id = line("id: ").unwrap().parse().unwrap();
    let data = serde_json::from_str(&line("data: ").unwrap()).unwrap();
    assert_eq!(lines.next(), None);
    Some((id, kind, data))
}
