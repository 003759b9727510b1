//! What the log says, and what it must not say.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Method;
use server::telemetry::{Format, subscriber};
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{SIGNING_SECRET, TestApp, request};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Listens for as long as both live. With one subscriber alone, `tracing` asks the thread that first
/// comes to a line whether anybody listens there, and the threads of other tests have nobody.
fn listen(filter: &str, log: &Log) -> (DefaultGuard, Dispatch) {
    let second = Dispatch::new(NoSubscriber::default());
    let subscriber = subscriber(filter, Format::Json, log.clone()).unwrap();
    (tracing::subscriber::set_default(subscriber), second)
}

#[tokio::test]
async fn even_a_chatty_log_holds_no_cookie_token_secret_or_message() {
    let log = Log::default();
    let listening = listen("trace", &log);
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn("my-diary-entry").await;
    guest.visit(&format!("/chat/{}", started["chat"]["id"].as_str().unwrap())).await;
    guest.call("refresh_token", serde_json::json!({"chat_id": started["chat"]["id"]})).await;
    let query = request(Method::GET, "/?token=query-secret")
        .header("authorization", "Bearer header-secret");
    app.send(query.body(Body::empty()).unwrap()).await;
    app.call("start_turn", serde_json::json!({"request": "body-secret"})).await;
    drop(listening);

    let cookie = guest.cookie.unwrap();
    let session = cookie.split_once('=').unwrap().1;
    let log = log.text();
    assert!(log.contains("/api/start_turn"), "requests are logged: {log}");
    for secret in [
        session,
        "my-diary-entry",
        "query-secret",
        "header-secret",
        "body-secret",
        SIGNING_SECRET,
        "orch_prod_",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_request_is_one_line_with_its_id_and_status() {
    let log = Log::default();
    let listening = listen("info", &log);
    let app = TestApp::start().await;
    let answer = app.get("/nothing\u{3f}a=b").await;
    drop(listening);
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("http.path")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(line["http.path"], "/nothing");
    assert_eq!(line["http.status"], 404);
    assert_eq!(line["http.method"], "GET");
    assert_eq!(line["request.id"], answer.header("x-request-id"));
}

/// The trace that is named in the line of a request whose caller says that it belongs to another.
async fn trace_of_a_request(app: &TestApp, caller: &str) -> String {
    let log = Log::default();
    let listening = listen("info", &log);
    let asked = request(Method::GET, "/nothing").header("traceparent", caller);
    app.send(asked.body(Body::empty()).unwrap()).await;
    drop(listening);
    let text = log.text();
    let line = text.lines().find(|line| line.contains("http.path")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["trace.id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_requests_line_names_its_trace_which_only_a_proxy_of_ours_can_have_begun() {
    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let behind = TestApp::builder().proxy("127.0.0.1").start().await;
    let trace = trace_of_a_request(&behind, CALLER).await;
    assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
    let open = TestApp::start().await;
    let mut traces = vec![trace];
    for (app, caller) in [(&open, CALLER), (&open, CALLER), (&behind, "nonsense")] {
        let own = trace_of_a_request(app, caller).await;
        assert!(own.len() == 32 && !traces.contains(&own), "{own} after {traces:?}");
        traces.push(own);
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_refused() {
    let refused = subscriber("server=noisy=", Format::Text, std::io::sink);
    assert!(refused.is_err_and(|error| error.to_string().contains("server=noisy=")));
}
