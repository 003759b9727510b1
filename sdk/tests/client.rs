//! The REST client against a service that behaves as each test needs.
#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use sandbox_sdk::{
    client::{Client, ClientConfig, Error, ListSandboxes, WaitOptions},
    types::{
        Connection, CreateProject, CreateSandbox, Dispatch, Exec, InputPart, InteractionAnswer,
        Outcome, SandboxStatus, SessionMapping, TurnLimits, TurnState,
    },
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const KEY: &str = "orch_prod_0123456789abcdef";

/// A request as the service saw it.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: HeaderMap,
    body: Value,
}

/// A service that gives prepared answers in order and writes down what it was asked.
#[derive(Clone, Default)]
struct Service {
    answers: Arc<Mutex<VecDeque<Response>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    async fn start(self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Client::new(ClientConfig::new(url, KEY)).unwrap()
    }

    fn then(self, status: u16, body: Value) -> Self {
        self.then_response((StatusCode::from_u16(status).unwrap(), body.to_string()))
    }

    fn then_response(self, response: impl IntoResponse) -> Self {
        self.answers.lock().unwrap().push_back(response.into_response());
        self
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

async fn answer(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    service.seen.lock().unwrap().push(Seen { line: format!("{method} {uri}"), headers, body });
    let answer = service.answers.lock().unwrap().pop_front();
    answer.unwrap_or_else(|| StatusCode::IM_A_TEAPOT.into_response())
}

fn sandbox(status: &str) -> Value {
    json!({"id": "sandbox-1", "status": status, "createdAt": "2026-01-01T00:00:00Z"})
}

fn dispatch() -> Dispatch {
    Dispatch {
        turn_id: "turn-1".into(),
        parts: vec![InputPart::Text { text: "hello".into() }],
        backend: None,
        limits: TurnLimits::default(),
        extra: Default::default(),
    }
}

#[tokio::test]
async fn every_call_carries_the_key_and_the_user() {
    let service = Service::default().then(200, json!({"success": true}));
    let client = service.clone().start().await.for_user("user-1");
    client.health().await.unwrap();
    let seen = service.seen().remove(0);
    assert_eq!(seen.line, "GET /health");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(seen.headers["x-user-id"], "user-1");
}

#[tokio::test]
async fn a_call_carries_the_trace_that_it_belongs_to() {
    let done = json!({"success": true});
    let service = Service::default().then(200, done.clone()).then(200, done);
    let client = service.clone().start().await;
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client.with_trace(text.parse().unwrap()).health().await.unwrap();
    client.health().await.unwrap();
    let seen = service.seen();
    assert_eq!(seen[0].headers["traceparent"], text);
    assert!(!seen[1].headers.contains_key("traceparent"));
}

#[tokio::test]
async fn a_sandbox_is_made_found_listed_stopped_resumed_and_deleted() {
    let service = Service::default()
        .then(201, sandbox("provisioning"))
        .then(200, sandbox("ready"))
        .then(404, json!({"error": {"code": "NOT_FOUND", "message": "no"}}))
        .then(200, json!({"sandboxes": [sandbox("running")]}))
        .then(200, sandbox("stopped"))
        .then(200, json!({"success": true}))
        .then(200, sandbox("running"))
        .then(200, json!({"success": true}))
        .then(404, json!({"code": "NOT_FOUND"}));
    let client = service.clone().start().await;
    let sandboxes = client.sandboxes();

    let create = CreateSandbox { name: Some("box".into()), ..CreateSandbox::default() };
    assert_eq!(sandboxes.create(&create).await.unwrap().status, SandboxStatus::Provisioning);
    let found = sandboxes.get("sandbox-1").await.unwrap().unwrap();
    assert_eq!(found.status, SandboxStatus::Running);
    assert_eq!(sandboxes.get("sandbox-2").await.unwrap(), None);
    let list = ListSandboxes {
        status: vec![SandboxStatus::Running, SandboxStatus::Stopped],
        limit: Some(10),
        offset: None,
    };
    assert_eq!(sandboxes.list(&list).await.unwrap().len(), 1);
    assert_eq!(sandboxes.stop("sandbox-1").await.unwrap().status, SandboxStatus::Stopped);
    // An answer without a sandbox in it: the client looks itself.
    assert_eq!(sandboxes.resume("sandbox-1").await.unwrap().status, SandboxStatus::Running);
    sandboxes.delete("sandbox-1").await.unwrap();
    sandboxes.delete("sandbox-1").await.unwrap();

    assert_eq!(
        service.lines(),
        [
            "POST /v1/sandboxes",
            "GET /v1/sandboxes/sandbox-1",
            "GET /v1/sandboxes/sandbox-2",
            "GET /v1/sandboxes?status=running&status=stopped&limit=10",
            "POST /v1/sandboxes/sandbox-1/stop",
            "POST /v1/sandboxes/sandbox-1/resume",
            "GET /v1/sandboxes/sandbox-1",
            "DELETE /v1/sandboxes/sandbox-1",
            "DELETE /v1/sandboxes/sandbox-1",
        ]
    );
    assert_eq!(service.seen()[0].body, json!({"name": "box"}));
}

#[tokio::test]
async fn what_an_agent_asks_is_read_and_answered() {
    let request = json!({"id": "i1", "kind": "permission", "title": "Run a command"});
    let service = Service::default()
        .then(200, json!({"success": true, "data": {"interactions": [request]}}))
        .then(503, json!({"error": {"code": "UNAVAILABLE", "message": "m"}}))
        .then(200, json!({"success": true}))
        .then(404, json!({"error": {"code": "NOT_FOUND", "message": "gone"}}));
    let sandbox = service.clone().start().await.sandbox("box");
    let asked = sandbox.interactions("s1").await.unwrap();
    assert_eq!((asked[0].id.as_str(), asked[0].title.as_str()), ("i1", "Run a command"));
    let answer = InteractionAnswer {
        id: "i1".into(),
        outcome: Outcome::Declined,
        data: json!({"grant": "deny"}).as_object().unwrap().clone(),
    };
    sandbox.answer_interaction("s1", &answer).await.unwrap();
    assert!(sandbox.answer_interaction("s1", &answer).await.unwrap_err().is_not_found());
    let path = "/v1/sandboxes/box/runtime/agents/sessions/s1/interactions";
    let answered = format!("POST {path}");
    assert_eq!(
        service.lines(),
        [format!("GET {path}"), answered.clone(), answered.clone(), answered]
    );
    let body = json!({"id": "i1", "outcome": "declined", "data": {"grant": "deny"}});
    assert_eq!(service.seen()[1].body, body);
}

#[tokio::test]
async fn projects_are_read_in_their_envelope() {
    let project = json!({"projectRef": "sandbox-1", "status": "suspended"});
    let service = Service::default()
        .then(201, json!({"project": project}))
        .then(200, project)
        .then(200, json!({"success": true}));
    let client = service.clone().start().await;
    let create = CreateProject { project_ref: Some("sandbox-1".into()), ..Default::default() };
    assert_eq!(client.projects().create(&create).await.unwrap().project_ref, "sandbox-1");
    let found = client.projects().get("sandbox-1").await.unwrap().unwrap();
    assert_eq!(found.status, SandboxStatus::Stopped);
    client.projects().delete("sandbox-1").await.unwrap();
    assert_eq!(service.seen()[0].body, json!({"projectRef": "sandbox-1", "container": {}}));
}

#[tokio::test]
async fn waiting_ends_with_the_wanted_state() {
    let service = Service::default()
        .then(200, sandbox("provisioning"))
        .then(200, sandbox("pending"))
        .then(200, sandbox("degraded"));
    let client = service.clone().start().await;
    let options = WaitOptions::default();
    let ready = client.sandboxes().wait_for("sandbox-1", SandboxStatus::Running, options).await;
    assert_eq!(ready.unwrap().id, "sandbox-1");
    assert_eq!(service.seen().len(), 3);
}

#[tokio::test]
async fn waiting_for_a_sandbox_that_is_lost_says_so_at_once() {
    let mut failed = sandbox("failed");
    failed["error"] = json!("no space left");
    let service = Service::default().then(200, failed).then(404, json!({"code": "NOT_FOUND"}));
    let client = service.start().await;
    for expected in [SandboxStatus::Failed, SandboxStatus::Deleted] {
        let options = WaitOptions::default();
        let lost = client.sandboxes().wait_for("sandbox-1", SandboxStatus::Running, options).await;
        match lost.unwrap_err() {
            Error::SandboxLost { status, .. } => assert_eq!(status, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn waiting_ends_with_its_time() {
    let mut service = Service::default();
    for _ in 0..50 {
        service = service.then(200, sandbox("provisioning"));
    }
    let client = service.start().await;
    let options = WaitOptions { timeout: Duration::from_millis(200), ..WaitOptions::default() };
    let waited = client.sandboxes().wait_for("sandbox-1", SandboxStatus::Running, options).await;
    assert!(matches!(waited, Err(Error::Timeout(_))), "{waited:?}");
}

#[tokio::test]
async fn a_command_asks_for_its_time_and_gives_its_outcome() {
    let result = json!({"exitCode": 2, "stdout": "out", "stderr": "err", "duration": 12});
    let service = Service::default().then(200, json!({"success": true, "result": result}));
    let client = service.clone().start().await.with_timeout(Duration::from_secs(9));
    let exec = Exec { command: "false".into(), ..Exec::default() };
    let outcome = client.sandbox("sandbox-1").exec(&exec).await.unwrap();
    assert_eq!((outcome.exit_code, outcome.stderr.as_str()), (2, "err"));
    let seen = service.seen().remove(0);
    assert_eq!(seen.line, "POST /v1/sandboxes/sandbox-1/runtime/terminals/commands");
    assert_eq!(seen.body, json!({"command": "false", "timeout": 9000}));
}

#[tokio::test]
async fn a_sidecar_is_reached_directly_with_its_own_token() {
    let service = Service::default().then(200, json!({"exitCode": 0}));
    let client = service.clone().start().await;
    let url = format!("{client:?}").split('"').nth(1).unwrap().to_owned();
    let connection = Connection {
        sidecar_url: format!("{url}/sidecar/sandbox-1/"),
        auth_token: "only this sandbox".into(),
        auth_token_expires_at: None,
        extra: Default::default(),
    };
    let exec = Exec { command: "true".into(), ..Exec::default() };
    client.sidecar(&connection).unwrap().exec(&exec).await.unwrap();
    let seen = service.seen().remove(0);
    assert_eq!(seen.line, "POST /sidecar/sandbox-1/terminals/commands");
    assert_eq!(seen.headers["authorization"], "Bearer only this sandbox");
}

#[tokio::test]
async fn files_go_there_and_back_as_text_and_as_bytes() {
    let service = Service::default()
        .then(200, json!({"success": true, "data": {"path": "a", "size": 2}}))
        .then(200, json!({"success": true, "data": {"path": "b", "size": 3}}))
        .then(200, json!({"success": true, "data": {"content": "hé", "encoding": "utf8"}}))
        .then(200, json!({"success": true, "data": {"content": "AP/+", "encoding": "base64"}}))
        .then(200, json!({"content": "AP/+"}))
        .then(200, json!({"content": "not base64!"}));
    let client = service.clone().start().await;
    let sandbox = client.sandbox("sandbox-1");
    sandbox.write_text("a", "hé").await.unwrap();
    sandbox.write_bytes("b", &[0, 255, 254]).await.unwrap();
    assert_eq!(sandbox.read_text("a").await.unwrap(), "hé");
    assert_eq!(sandbox.read_bytes("b").await.unwrap(), [0, 255, 254]);
    assert_eq!(sandbox.read_bytes("b").await.unwrap(), [0, 255, 254]);
    assert_eq!(sandbox.read_bytes("c").await.unwrap(), b"not base64!");
    let bodies: Vec<Value> = service.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies[0], json!({"path": "a", "content": "hé"}));
    assert_eq!(bodies[1], json!({"path": "b", "content": "AP/+", "encoding": "base64"}));
    assert_eq!(bodies[3], json!({"path": "b", "encoding": "base64"}));
}

#[tokio::test]
async fn a_turn_is_mapped_dispatched_watched_and_stopped() {
    let receipt = json!({
        "sessionId": "s", "turnId": "turn-1", "alreadyExisted": false, "state": "running", "since": 4
    });
    let record =
        json!({"sessionId": "s", "turnId": "turn-1", "state": "completed", "finalText": "hi"});
    let service = Service::default()
        .then(200, json!({"success": true}))
        .then(202, receipt)
        .then(
            200,
            json!({"data": {"session": {"sessionId": "s", "state": "running", "lastSeq": 9}}}),
        )
        .then(200, record)
        .then(404, json!({"code": "NOT_FOUND"}))
        .then(200, json!({"cancelled": true}))
        .then(404, json!({"code": "NOT_FOUND"}));
    let client = service.clone().start().await;
    let mapping = SessionMapping {
        user_id: "u".into(),
        sandbox_id: "sandbox-1".into(),
        runtime_session_id: None,
    };
    client.register_mapping("s", &mapping).await.unwrap();
    let sandbox = client.sandbox("sandbox-1");
    assert_eq!(sandbox.dispatch("s", &dispatch()).await.unwrap().since, 4);
    assert_eq!(sandbox.session_status("s").await.unwrap().last_seq, 9);
    let turn = sandbox.turn("s", "turn-1").await.unwrap().unwrap();
    assert_eq!((turn.state, turn.final_text.as_str()), (TurnState::Completed, "hi"));
    assert_eq!(sandbox.turn("s", "turn-2").await.unwrap(), None);
    assert!(sandbox.abort("s", Some("turn-1")).await.unwrap().cancelled);
    assert!(!sandbox.abort("s", None).await.unwrap().cancelled);
    assert_eq!(
        service.lines(),
        [
            "PUT /v1/session/s/mapping",
            "POST /v1/sandboxes/sandbox-1/runtime/agents/sessions/s/messages",
            "GET /v1/sandboxes/sandbox-1/runtime/agents/sessions/s",
            "GET /v1/sandboxes/sandbox-1/runtime/agents/sessions/s/turns/turn-1",
            "GET /v1/sandboxes/sandbox-1/runtime/agents/sessions/s/turns/turn-2",
            "POST /v1/sandboxes/sandbox-1/runtime/agents/sessions/s/abort",
            "POST /v1/sandboxes/sandbox-1/runtime/agents/sessions/s/abort",
        ]
    );
    assert_eq!(service.seen()[5].body, json!({"turnId": "turn-1"}));
}

#[tokio::test]
async fn events_come_with_their_sequence_numbers_and_without_heartbeats() {
    let stream = concat!(
        ": hello\n\nevent: heartbeat\ndata: {}\n\n",
        "event: execution.started\nid: 5\ndata: {\"executionId\":\"turn-1\"}\n\n",
        "id: 6\ndata: {\"type\":\"message.part.updated\",\"data\":{\"delta\":\"x\"}}\n\n",
        "event: done\r\nid: 7\r\ndata: {\"type\":\"done\",\"data\":{\"outcome\":\"completed\"}}\r\n\r\n",
        "event: lost\nid: 8\ndata: {}\n",
    );
    let service = Service::default().then_response(stream);
    let client = service.clone().start().await;
    let events = client.sandbox("sandbox-1").events("s", 4).await.unwrap();
    let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
    let kinds: Vec<(u64, &str)> = events.iter().map(|(seq, e)| (*seq, e.kind.as_str())).collect();
    assert_eq!(kinds, [(5, "execution.started"), (6, "message.part.updated"), (7, "done")]);
    assert_eq!(events[0].1.data["executionId"], "turn-1");
    assert_eq!(events[1].1.data["delta"], "x");
    assert_eq!(events[2].1.data["outcome"], "completed");
    let line = service.lines().remove(0);
    assert!(line.ends_with("/agents/sessions/s/events?since=4"), "{line}");
}

#[tokio::test]
async fn an_event_that_is_no_json_ends_the_stream_with_an_error() {
    let service = Service::default().then_response("event: x\nid: 1\ndata: {\n\n");
    let client = service.start().await;
    let mut events = client.sandbox("sandbox-1").events("s", 0).await.unwrap();
    assert!(matches!(events.next().await, Some(Err(Error::Decode { .. }))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn errors_say_what_the_service_said() {
    let body = json!({
        "success": false, "error": {"code": "GONE", "message": "gone"}, "reprovisionRequired": true
    });
    let service = Service::default().then_response((
        StatusCode::NOT_FOUND,
        [("x-request-id", "req-7")],
        body.to_string(),
    ));
    let client = service.start().await;
    let mapping = SessionMapping {
        user_id: "u".into(),
        sandbox_id: "sandbox-1".into(),
        runtime_session_id: None,
    };
    let error = client.register_mapping("s", &mapping).await.unwrap_err();
    assert_eq!(error.to_string(), "gone (GONE, HTTP 404, request req-7)");
    assert!(error.is_not_found() && error.reprovision_required() && !error.is_retryable());
}

#[tokio::test]
async fn what_is_safe_is_tried_again_until_it_succeeds() {
    for transient in [408, 425, 429, 500, 502, 503, 504] {
        let service = Service::default().then(transient, json!({})).then(200, sandbox("running"));
        let client = service.clone().start().await;
        assert!(client.sandboxes().get("sandbox-1").await.unwrap().is_some());
        assert_eq!(service.seen().len(), 2, "{transient}");
    }
}

#[tokio::test]
async fn a_service_that_wants_to_be_left_alone_for_ever_gets_no_second_call() {
    let pause = [("retry-after", "18446744073709551615")];
    let service = Service::default().then_response((StatusCode::SERVICE_UNAVAILABLE, pause, "{}"));
    let client = service.clone().start().await;
    let error = client.sandboxes().get("sandbox-1").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(24 * 3600)));
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn a_dispatch_is_tried_again_with_the_same_turn() {
    let receipt = json!({
        "sessionId": "s", "turnId": "turn-1", "alreadyExisted": true, "state": "running"
    });
    let service = Service::default().then(503, json!({})).then(200, receipt);
    let client = service.clone().start().await;
    let receipt = client.sandbox("sandbox-1").dispatch("s", &dispatch()).await.unwrap();
    assert!(receipt.already_existed);
    let turns: Vec<Value> = service.seen().iter().map(|seen| seen.body["turnId"].clone()).collect();
    assert_eq!(turns, ["turn-1", "turn-1"]);
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_never_tried_again() {
    let service = Service::default();
    let mut service = service;
    for _ in 0..6 {
        service = service.then(503, json!({}));
    }
    let client = service.clone().start().await;
    let sandbox = client.sandbox("sandbox-1");
    let exec = Exec { command: "rm x".into(), ..Exec::default() };
    assert!(sandbox.exec(&exec).await.unwrap_err().is_retryable());
    assert!(sandbox.write_text("a", "b").await.is_err());
    assert!(sandbox.abort("s", None).await.is_err());
    assert!(client.sandboxes().create(&CreateSandbox::default()).await.is_err());
    assert!(client.sandboxes().stop("sandbox-1").await.is_err());
    assert_eq!(service.seen().len(), 5);
}

#[tokio::test]
async fn a_sandbox_with_an_idempotency_key_is_made_again_under_the_same_key() {
    let service = Service::default().then(502, json!({})).then(201, sandbox("pending"));
    let client = service.clone().start().await;
    let create =
        CreateSandbox { idempotency_key: Some("chat-1".into()), ..CreateSandbox::default() };
    client.sandboxes().create(&create).await.unwrap();
    let keys: Vec<Value> =
        service.seen().iter().map(|seen| seen.body["idempotencyKey"].clone()).collect();
    assert_eq!(keys, ["chat-1", "chat-1"]);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for status in [400, 401, 402, 403, 409, 413, 422, 501] {
        let service = Service::default().then(status, json!({}));
        let client = service.clone().start().await;
        let error = client.sandboxes().get("sandbox-1").await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(service.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_service_that_wants_a_longer_rest_than_the_call_has_is_left_alone() {
    let service = Service::default().then_response((
        StatusCode::SERVICE_UNAVAILABLE,
        [("retry-after", "3600")],
        "later",
    ));
    let client = service.clone().start().await;
    let error = client.sandboxes().get("sandbox-1").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn giving_up_comes_after_four_attempts() {
    let mut service = Service::default();
    for _ in 0..9 {
        service = service.then(503, json!({}));
    }
    let client = service.clone().start().await;
    assert_eq!(client.health().await.unwrap_err().status(), Some(503));
    assert_eq!(service.seen().len(), 4);
}

#[tokio::test]
async fn a_silent_service_ends_in_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::new(ClientConfig::new(url, KEY)).unwrap();
    let client = client.with_timeout(Duration::from_millis(100));
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    let error = client.sandbox("sandbox-1").events("s", 0).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_transport_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(ClientConfig::new(url, KEY)).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn an_id_cannot_lead_elsewhere() {
    let service = Service::default();
    let client = service.clone().start().await;
    for id in ["", ".", "..", "../secrets", "a/b", "a?b", "a#b", "a%2fb", "ä", &"x".repeat(161)] {
        let error = client.sandboxes().get(id).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{id}");
        assert!(client.sandbox(id).read_text("a").await.is_err(), "{id}");
        assert!(client.sandbox("sandbox-1").turn("s", id).await.is_err(), "{id}");
    }
    assert!(service.seen().is_empty());
}

#[test]
fn a_client_needs_a_key_and_a_plain_url() {
    for (url, key) in [
        ("http://127.0.0.1:1", ""),
        ("", KEY),
        ("127.0.0.1:1", KEY),
        ("ftp://127.0.0.1", KEY),
        ("http://user:pass@127.0.0.1", KEY),
        ("http://127.0.0.1/?key=1", KEY),
    ] {
        let refused = Client::new(ClientConfig::new(url, key));
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{url}");
    }
}

#[test]
fn the_key_shows_nowhere() {
    let config = ClientConfig::new("http://127.0.0.1:1", KEY);
    let client = Client::new(config.clone()).unwrap();
    let shown = format!("{config:?} {client:?} {:?} {:?}", client.sandbox("s"), client.sandboxes());
    assert!(!shown.contains(KEY), "{shown}");
}
