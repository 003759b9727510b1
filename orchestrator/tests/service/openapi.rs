//! The API's own description: that it is served, and that it is true.

mod schema;

use std::collections::BTreeMap;

use reqwest::{Method, header};
use sandbox_sdk::types::{
    Abort, BackendChoice, BatchRun, BatchTask, CreateProject, CreateSandbox, Dispatch, Exec, Extra,
    FileMode, GitAuth, GitSource, InputPart, InteractionAnswer, ModelChoice, OpenTerminal, Outcome,
    ReadFile, ReadFiles, ResizeTerminal, Resources, RunCode, SessionMapping, SignalProcess,
    SnapshotStorage, SpawnProcess, StorageCredentials, TakeSnapshot, TerminalInput, TurnLimits,
    UpdateSandbox, WriteFile,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::Product;
use schema::Document;

const RUNTIME: &str = "/v1/sandboxes/{id}/runtime";
const REPOSITORY: &str = "mkdir src && cd src && git init -q && git -c user.name=a \
                          -c user.email=a@example.com commit -q --allow-empty -m first";

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_and_may_be_kept() {
    let product = Product::start().await;
    let ask = || product.http.get(format!("{}/openapi.json", product.base));
    let answer = product.send(ask()).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    let tag = answer.headers["etag"].clone();
    let document = answer.expect(200);
    assert_eq!(
        (&document["openapi"], document["servers"][0]["url"].as_str()),
        (&json!("3.1.0"), Some(product.base.as_str()))
    );

    let again = product.send(ask().header(header::IF_NONE_MATCH, tag.clone())).await;
    assert_eq!((again.status.as_u16(), &again.headers["etag"]), (304, &tag));
    let other = product.send(ask().header(header::IF_NONE_MATCH, "\"other\"")).await;
    assert_eq!(other.expect(200), document);
    let posted = product.request(Method::POST, "/openapi.json");
    product.send(posted).await.refused(405, "METHOD_NOT_ALLOWED");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_are_answered_as_the_document_says() {
    let product = Product::start().await;
    let document = Document::of(&product).await;
    let wish = json!({"name": "one", "env": {"A": "1"}, "metadata": {"a": [1]}, "image": "x"});
    let made = product.post("/v1/sandboxes", wish).await;
    let made = document.fits("post", "/v1/sandboxes", 201, made);
    assert_eq!(made["outcome"], "created");
    document.names_all("Sandbox", &made);
    let id = made["id"].as_str().unwrap();
    product.sandbox_is(id, "running").await;

    let sandbox = format!("/v1/sandboxes/{id}");
    let running = product.get(&sandbox).await.expect(200);
    document.names_all("Connection", &running["connection"]);
    for (path, is) in [
        ("/v1/sandboxes", "/v1/sandboxes".to_owned()),
        ("/v1/sandboxes/{id}", sandbox.clone()),
        ("/v1/sandboxes/{id}/driver", format!("{sandbox}/driver")),
        ("/v1/sandboxes/{id}/network", format!("{sandbox}/network")),
        ("/v1/sandboxes/{id}/snapshots", format!("{sandbox}/snapshots")),
        ("/projects/{id}", format!("/projects/{id}")),
        ("/v1/agents", "/v1/agents".to_owned()),
        ("/v1/backends", "/v1/backends".to_owned()),
        ("/drivers", "/drivers".to_owned()),
        ("/v1/system/criu-status", "/v1/system/criu-status".to_owned()),
        ("/usage", "/usage".to_owned()),
        ("/v1/secrets", "/v1/secrets".to_owned()),
        ("/health", "/health".to_owned()),
        ("/openapi.json", "/openapi.json".to_owned()),
    ] {
        document.fits("get", path, 200, product.get(&is).await);
    }
    let taken = product.post(&format!("{sandbox}/snapshot"), json!({"tags": ["a"]})).await;
    document.fits("post", "/v1/sandboxes/{id}/snapshot", 200, taken);
    let listed = product.get(&format!("{sandbox}/snapshots")).await;
    let listed = document.fits("get", "/v1/sandboxes/{id}/snapshots", 200, listed);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
    let token = product.post(&format!("{sandbox}/tokens"), json!({"scope": "read-only"})).await;
    document.fits("post", "/v1/sandboxes/{id}/tokens", 201, token);

    let missing = product.get("/v1/sandboxes/nobody").await;
    document.fits("get", "/v1/sandboxes/{id}", 404, missing);
    let wrong = product.post("/v1/sandboxes", json!({"env": 1})).await;
    document.fits("post", "/v1/sandboxes", 400, wrong);
    let forked = product.post(&format!("{sandbox}/fork"), json!({})).await;
    document.fits("post", "/v1/sandboxes/{id}/fork", 501, forked);
    let gone = product.delete(&sandbox).await;
    document.fits("delete", "/v1/sandboxes/{id}", 200, gone);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sandbox_answers_is_as_the_document_says() {
    let product = Product::start().await;
    let document = Document::of(&product).await;
    let id = product.sandbox().await;
    let at = |path: &str| format!("/v1/sandboxes/{id}/runtime{path}");
    for (path, body) in [
        ("/terminals/commands", json!({"command": REPOSITORY})),
        ("/files/write", json!({"path": "src/a.txt", "content": "hello\n", "mode": "0600"})),
        ("/files/read", json!({"path": "src/a.txt"})),
        ("/files/read-batch", json!({"paths": ["src/a.txt", "src/none.txt"]})),
        ("/search", json!({"pattern": "hel+o", "context": 1})),
        ("/process/spawn", json!({"command": "sleep 600"})),
        ("/process/run-code", json!({"language": "bash", "code": "echo 1"})),
        ("/terminals", json!({"command": "cat"})),
        ("/tools/run", json!({"tool": "bash", "args": ["-c", "true"]})),
    ] {
        let template = format!("{RUNTIME}{path}");
        assert_eq!(document.problem("post", &template, &body), None, "{path}");
        document.fits("post", &template, 200, product.post(&at(path), body).await);
    }
    for (path, is) in [
        ("/health", "/health"),
        ("/capabilities", "/capabilities"),
        ("/backend/status", "/backend/status"),
        ("/backend/capabilities", "/backend/capabilities"),
        ("/permissions/users", "/permissions/users"),
        ("/fs/list/{path}", "/fs/list/workspace/src?all=1"),
        ("/fs/stat/{path}", "/fs/stat/workspace/src/a.txt"),
        ("/fs/exists/{path}", "/fs/exists/workspace/none"),
        ("/git/status", "/git/status?cwd=src"),
        ("/git/log", "/git/log?cwd=src&limit=1"),
        ("/git/diff", "/git/diff?cwd=src"),
        ("/git/branches", "/git/branches?cwd=src"),
        ("/process", "/process"),
        ("/terminals", "/terminals"),
        ("/tools", "/tools"),
    ] {
        document.fits("get", &format!("{RUNTIME}{path}"), 200, product.get(&at(is)).await);
    }
    let missing = product.post(&at("/files/read"), json!({"path": "none.txt"})).await;
    document.fits("post", &format!("{RUNTIME}/files/read"), 404, missing);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_answered_as_the_document_says() {
    let product = Product::start().await;
    let document = Document::of(&product).await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let of_session = format!("{RUNTIME}/agents/sessions/{{sid}}");
    let begun = product.dispatch(&id, "s1", "t1", "run: echo hello").await;
    document.fits("post", &format!("{of_session}/messages"), 202, begun);
    product.record(&id, "s1", "t1").await;
    let path = product.session_path(&id, "s1");
    for below in ["", "/status", "/plan", "/interactions", "/messages", "/result"] {
        let answer = product.get(&format!("{path}{below}")).await;
        let answer = document.fits("get", &format!("{of_session}{below}"), 200, answer);
        if matches!(below, "" | "/status") {
            document.names_all("SessionStatus", &answer);
        }
    }
    let record = product.get(&format!("{path}/turns/t1")).await;
    let record = document.fits("get", &format!("{of_session}/turns/{{turn}}"), 200, record);
    assert!(!record["parts"].as_array().unwrap().is_empty(), "{record}");
    let all = product.get(&format!("/v1/sandboxes/{id}/runtime/agents/sessions")).await;
    document.fits("get", &format!("{RUNTIME}/agents/sessions"), 200, all);
    let stopped = product.post(&format!("{path}/abort"), json!({})).await;
    document.fits("post", &format!("{of_session}/abort"), 200, stopped);
    let session = product.post("/v1/sessions", json!({"projectId": id})).await;
    document.fits("post", "/v1/sessions", 201, session);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdk_sends_is_what_the_document_says() {
    let product = Product::start().await;
    let document = Document::of(&product).await;
    let model = ModelChoice {
        provider: Some("custom".to_owned()),
        model: Some("m".to_owned()),
        api_key: Some("k".to_owned()),
        ..ModelChoice::default()
    };
    let backend = BackendChoice {
        kind: Some("opencode".to_owned()),
        model: Some(model),
        ..BackendChoice::default()
    };
    let texts = |words: [&str; 2]| words.map(str::to_owned).to_vec();
    let env = || BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    let resources = Resources { cpu_cores: Some(0.5), memory_mb: Some(64), ..Resources::default() };
    let create = CreateSandbox {
        name: Some("one".to_owned()),
        env: env(),
        resources: Some(resources),
        idle_timeout_seconds: Some(60),
        metadata: Some(json!({"a": null})),
        backend: Some(backend.clone()),
        secrets: texts(["A", "B"]),
        git: Some(GitSource {
            url: "https://a.example/b.git".to_owned(),
            depth: Some(1),
            auth: Some(GitAuth { token: Some("t".to_owned()), extra: Extra::new() }),
            ..GitSource::default()
        }),
        ..CreateSandbox::default()
    };
    let storage = SnapshotStorage {
        kind: "s3".to_owned(),
        bucket: "b".to_owned(),
        endpoint: None,
        region: Some("r".to_owned()),
        credentials: StorageCredentials {
            access_key_id: "a".to_owned(),
            secret_access_key: "s".to_owned(),
        },
        prefix: None,
        extra: Extra::new(),
    };
    let dispatch = Dispatch {
        turn_id: "t1".to_owned(),
        parts: vec![InputPart::Text { text: "hello".to_owned() }],
        backend: Some(backend.clone()),
        limits: TurnLimits { max_output_tokens: Some(1), ..TurnLimits::default() },
        extra: Extra::new(),
    };
    let task = BatchTask { id: "1".to_owned(), message: "m".to_owned(), ..BatchTask::default() };
    let batch = BatchRun { tasks: vec![task], backend: Some(backend), ..BatchRun::default() };
    let answer = InteractionAnswer {
        id: "i1".to_owned(),
        outcome: Outcome::Accepted,
        data: Extra::from_iter([("grant".to_owned(), json!("allow_once"))]),
    };
    let mapping = SessionMapping {
        user_id: "u".to_owned(),
        sandbox_id: "s".to_owned(),
        runtime_session_id: None,
    };
    let write = WriteFile {
        path: "a".to_owned(),
        content: String::new(),
        encoding: Some("base64".to_owned()),
        mode: FileMode::new(0o644),
    };
    let exec = Exec { command: "true".to_owned(), cwd: None, env: env(), timeout: Some(1) };
    let open = OpenTerminal { cols: Some(80), env: env(), ..OpenTerminal::default() };
    let project = CreateProject { project_ref: Some("p".to_owned()), ..CreateProject::default() };
    let session = |below: &str| format!("{RUNTIME}/agents/sessions/{{sid}}/{below}");
    let runtime = |below: &str| format!("{RUNTIME}{below}");
    let sent = [
        ("post", "/v1/sandboxes".to_owned(), body(&create)),
        ("post", "/v1/sandboxes".to_owned(), body(&CreateSandbox::default())),
        ("patch", "/v1/sandboxes/{id}".to_owned(), body(&UpdateSandbox::default())),
        ("post", "/projects".to_owned(), body(&project)),
        ("post", "/v1/sandboxes/{id}/snapshot".to_owned(), body(&TakeSnapshot::default())),
        ("put", "/v1/session/{sid}/mapping".to_owned(), body(&mapping)),
        ("post", "/batch/run".to_owned(), body(&batch)),
        ("post", session("messages"), body(&dispatch)),
        ("post", session("interactions"), body(&answer)),
        ("post", session("abort"), body(&Abort::default())),
        ("post", runtime("/snapshots"), json!({"storage": body(&storage)})),
        ("post", runtime("/terminals/commands"), body(&exec)),
        ("post", runtime("/files/read"), body(&ReadFile::default())),
        ("post", runtime("/files/write"), body(&write)),
        ("post", runtime("/files/read-batch"), body(&ReadFiles::default())),
        ("post", runtime("/process/spawn"), body(&SpawnProcess::default())),
        ("post", runtime("/process/run-code"), body(&RunCode::default())),
        ("delete", runtime("/process/{pid}"), body(&SignalProcess::default())),
        ("post", runtime("/terminals"), body(&open)),
        ("patch", runtime("/terminals/{terminal}"), body(&ResizeTerminal { cols: 1, rows: 1 })),
        ("post", runtime("/terminals/{terminal}/input"), body(&TerminalInput::default())),
        // Spellings that the SDK reads and does not write.
        ("post", runtime("/files/write"), json!({"path": "a", "content": "", "mode": 493})),
        ("post", session("interactions"), json!({"id": "i1", "outcome": "declined"})),
        (
            "post",
            "/v1/sandboxes".to_owned(),
            json!({"backend": {"type": "codex", "model": "m", "provider": "openai"}}),
        ),
        (
            "post",
            "/v1/sandboxes".to_owned(),
            json!({
                "driver": {"type": "host-agent"}, "tools": {"node": "22", "python": 3},
                "network": {"allow_list": ["a.example"], "ports": [3000]},
                "backend": {"profile": "careful", "inlineProfile": {"instructions": ["a", "b"]}},
                "resources": {"cpu": 1, "memory": 256},
            }),
        ),
    ];
    for (method, path, body) in &sent {
        assert_eq!(document.problem(method, path, body), None, "{method} {path} {body}");
    }
    let wrong = [
        ("/v1/sandboxes".to_owned(), json!({"env": {"A": 1}})),
        ("/v1/sandboxes".to_owned(), json!({"backend": {"model": 1}})),
        ("/v1/sandboxes".to_owned(), json!({"git": {"ref": "main"}})),
        ("/v1/sandboxes".to_owned(), json!({"resources": {"memoryMB": -1}})),
        ("/v1/sandboxes".to_owned(), json!({"driver": "firecracker"})),
        ("/v1/sandboxes".to_owned(), json!({"network": {"allowList": "a.example"}})),
        ("/v1/sandboxes".to_owned(), json!({"backend": {"profile": "reckless"}})),
        ("/v1/sandboxes".to_owned(), json!({"backend": {"inlineProfile": {"permision": {}}}})),
        (runtime("/terminals/commands"), json!({"cwd": "/tmp"})),
        (runtime("/files/write"), json!({"path": "a", "content": "", "mode": "rwx"})),
        (session("messages"), json!({"parts": []})),
        (session("interactions"), json!({"id": "i1", "outcome": "maybe"})),
    ];
    for (path, body) in &wrong {
        assert!(document.problem("post", path, body).is_some(), "{path} {body}");
    }
    product.stop().await;
}

fn body(request: &impl Serialize) -> Value {
    serde_json::to_value(request).unwrap()
}
