//! A client that is up to something. Anything may run in a sandbox.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use upstream::Says;

const DONE: &str =
    "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";

async fn calm() -> Upstream {
    Upstream::start(Says::new(200, "text/event-stream", &[DONE])).await
}

/// Writes the bytes and reads what comes until the end, or until nothing comes any more.
async fn raw(bench: &Bench, bytes: &[u8]) -> String {
    let mut stream = connect(bench.folder.path()).await.unwrap();
    // A refusal may come before all is written.
    drop(stream.write_all(bytes).await);
    let mut text = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            text.extend_from_slice(&buffer[..count]);
        }
    };
    drop(tokio::time::timeout(Duration::from_secs(2), reading).await);
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn only_the_right_token_opens_only_its_own_sandbox_only_while_the_turn_runs() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let (access, meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    let other = tempfile::tempdir().unwrap();
    let _door = bench.gateway.listen("other-box", other.path()).unwrap();
    let body = prompt(ChatCompletions, "hello", true).to_string();
    let path = path_of(ChatCompletions);

    for token in ["x", &"0".repeat(64), &access.token[..63], &access.token.to_uppercase()] {
        if token == access.token {
            continue;
        }
        let answer = post(bench.folder.path(), path, token, body.clone()).await.unwrap();
        answer.refused(ChatCompletions, 403);
    }
    let stolen = post(other.path(), path, &access.token, body.clone()).await.unwrap();
    stolen.refused(ChatCompletions, 403);
    let nothing = Request::post(path).header("host", "x").body(Full::new(body.clone().into()));
    send(bench.folder.path(), nothing.unwrap()).await.unwrap().refused(ChatCompletions, 401);
    assert!(upstream.arrived().is_empty());

    let answer = post(bench.folder.path(), path, &access.token, body.clone()).await.unwrap();
    assert_eq!(answer.status, 200);
    meter.close(PATIENCE).await;
    let late = post(bench.folder.path(), path, &access.token, body.clone()).await.unwrap();
    late.refused(ChatCompletions, 403);
    let (access, meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    drop(meter);
    let late = post(bench.folder.path(), path, &access.token, body).await.unwrap();
    late.refused(ChatCompletions, 403);
    assert_eq!(upstream.arrived().len(), 1);
}

#[tokio::test]
async fn no_other_path_and_no_other_address_can_be_reached() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let (access, _meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    let body = prompt(ChatCompletions, "hello", true).to_string();
    for (method, target) in [
        ("POST", "/v1/files"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions/../files"),
        ("POST", "/v1/chat/completions/%2e%2e/files"),
        ("POST", "/v1//chat/completions"),
        ("POST", "//evil.example/v1/chat/completions"),
        ("POST", "/v1/chat%2fcompletions"),
        ("DELETE", "/v1/chat/completions"),
        ("GET", "/v1/models/scripted-1"),
        ("GET", "/v1/organizations"),
        ("CONNECT", "evil.example:443"),
    ] {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            access.token,
            body.len()
        );
        let answer = raw(&bench, request.as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{method} {target}: {answer}");
    }
    assert!(upstream.arrived().is_empty(), "{:?}", upstream.arrived());
    // A full address in the request line changes nothing about where it goes.
    let request = format!(
        "POST http://evil.example/v1/chat/completions?x=%0d%0ahost:evil HTTP/1.1\r\n\
         host: evil.example\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        access.token,
        body.len()
    );
    raw(&bench, request.as_bytes()).await;
    for arrived in upstream.arrived() {
        assert_eq!(arrived.uri, "/v1/chat/completions");
        assert_eq!(format!("http://{}", arrived.headers["host"].to_str().unwrap()), upstream.url);
    }
}

#[tokio::test]
async fn a_provider_sees_its_key_and_a_few_harmless_headers() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let body = prompt(Messages, "hello", true).to_string();
    let mut request = Request::post("/v1/messages?beta=true").header("x-api-key", &access.token);
    for (name, value) in [
        ("host", "evil.example"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("proxy-authorization", "Basic x"),
        ("openai-organization", "org-other"),
        ("anthropic-workspace-id", "other"),
        ("accept-encoding", "gzip, br"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("te", "trailers"),
        ("anthropic-beta", "some-beta-2026-01-01"),
    ] {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    assert_eq!(send(bench.folder.path(), request).await.unwrap().status, 200);
    let arrived = &upstream.arrived()[0];
    assert_eq!((arrived.method.as_str(), arrived.uri.as_str()), ("POST", "/v1/messages?beta=true"));
    let mut names: Vec<_> = arrived.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "anthropic-beta",
            "anthropic-version",
            "content-length",
            "content-type",
            "host",
            "x-api-key"
        ]
    );
    assert_eq!(arrived.headers["x-api-key"], ANTHROPIC_KEY);
    assert_eq!(arrived.headers["content-type"], "application/json");
    drop(meter);
}

#[tokio::test]
async fn requests_that_two_readers_would_see_differently_do_not_pass() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let (access, _meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
        access.token
    );
    let inner = "POST /v1/files HTTP/1.1\r\nhost: x\r\n\r\n";
    for rest in [
        format!("content-length: 5\r\ncontent-length: 60\r\n\r\n{{}}{inner}"),
        format!("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        "content-length: +5\r\n\r\n{}".to_owned(),
        format!("x: {}\r\n\r\n", "y".repeat(100_000)),
    ] {
        let answer = raw(&bench, format!("{head}{rest}").as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{rest}: {answer}");
    }
    assert!(upstream.arrived().is_empty(), "{:?}", upstream.arrived());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_length_and_by_its_bytes() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let (access, meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
        access.token
    );
    let told = raw(&bench, format!("{head}content-length: 99999999999\r\n\r\n").as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
    let mut bytes = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..33 {
        bytes.extend_from_slice(b"100000\r\n");
        bytes.extend_from_slice(&chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    let sent = raw(&bench, &bytes).await;
    assert!(sent.starts_with("HTTP/1.1 413"), "{sent}");
    // A large one that may be is not held back by them.
    let mut body = prompt(ChatCompletions, "hello", true);
    body["messages"][0]["content"] = json!("x".repeat(30 << 20));
    assert_eq!(bench.ask(&access, &body).await.status, 200);
    assert_eq!(upstream.arrived().len(), 1);
    drop(meter);
}

#[tokio::test]
async fn without_a_token_no_byte_of_a_body_is_kept() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: no\r\ncontent-length: 33000000\r\n\r\n";
    let answer = raw(&bench, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn nonsense_is_refused_in_words() {
    let upstream = calm().await;
    let bench = Bench::at(&upstream.url);
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    for body in ["", "[]", "{}", "nonsense", r#"{"messages":[],"max_tokens":1,"max_tokens":2}"#] {
        let answer = post(bench.folder.path(), "/v1/messages", &access.token, body).await.unwrap();
        answer.refused(Messages, 400);
    }
    assert!(upstream.arrived().is_empty());
    // The turn's model is Anthropic's and is not spoken to in another format.
    let other = post(bench.folder.path(), "/v1/responses", &access.token, "{}").await.unwrap();
    other.refused(Responses, 404);
    drop(meter);
}

#[tokio::test]
async fn the_door_is_open_to_the_sandbox_and_its_folder_to_nobody_else() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let bench = Bench::at("http://127.0.0.1:1");
    let run = bench.folder.path().join("run");
    let socket = std::fs::metadata(run.join("models.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o666);
    assert_eq!(std::fs::metadata(&run).unwrap().permissions().mode() & 0o777, 0o700);
    // A second start of the sandbox takes the place of what the first one left.
    let again = bench.gateway.listen(SANDBOX, bench.folder.path()).unwrap();
    let hello = Request::builder().method("HEAD").uri("/").header("host", "x");
    let hello = send(bench.folder.path(), hello.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(hello.status, 200);
    drop(again);
    eventually("the door closes", || {
        std::os::unix::net::UnixStream::connect(run.join("models.sock")).err()
    })
    .await;
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn keys_and_tokens_are_in_no_log_line_and_no_debug_output() {
    let lines = Lines::default();
    let writer = lines.clone();
    // With one subscriber alone, `tracing` asks the thread that first comes to a line whether anybody
    // listens there, and the threads of other tests have nobody.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    // The runtime of this test has one thread, so that all of its tasks log here.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let own = ModelChoice {
        provider: Some("openai".to_owned()),
        model: Some("scripted-1".to_owned()),
        api_key: Some("sk-own-0123456789-secret".to_owned()),
        base_url: Some(model.url()),
        ..ModelChoice::default()
    };
    let own = BackendChoice {
        kind: Some("codex".to_owned()),
        model: Some(own),
        ..BackendChoice::default()
    };
    let mut shown = format!("{:?} {own:?}", bench.gateway);
    let mut tokens = Vec::new();
    for asked in [asked("claude-code", "anthropic", "scripted-1"), own] {
        let (access, meter) = bench.open_with(&asked, TurnLimits::default()).await;
        for text in ["hello", "FAIL[401]", "FAIL[500]", "LONG[30] DROP[2]"] {
            bench.ask(&access, &prompt(access.format, text, true)).await;
        }
        shown.push_str(&format!("{access:?} {meter:?} {:?}", bench.gateway));
        tokens.push(access.token);
        shown.push_str(&format!("{:?}", meter.close(PATIENCE).await));
    }
    let last = model.requests().last().unwrap().key.clone();
    assert_eq!(last.as_deref(), Some("sk-own-0123456789-secret"), "the caller's key was used");
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(lines.contains("model request"), "something was logged");
    for secret in tokens.iter().map(String::as_str).chain(["0123456789-secret"]) {
        assert!(!shown.contains(secret), "{secret} is shown");
        let line = lines.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}
