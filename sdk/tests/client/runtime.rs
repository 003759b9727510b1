//! What is done in a running sandbox: commands, files, turns, events, answers.

use std::time::Duration;

use futures::StreamExt;
use sandbox_sdk::{
    client::Error,
    types::{Connection, Exec, InteractionAnswer, Outcome, SessionMapping, TurnState},
};
use serde_json::{Value, json};

use crate::service::{Service, dispatch};

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
