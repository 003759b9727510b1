//! What a collector of traces gets, and what it never gets.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use reqwest::Method;
use sandbox_sdk::client::{Client, ClientConfig};
use scripted_model::ScriptedModel;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::{Process, Product, eventually};

const KEY: &str = "sk-traces-0123456789-secret";
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What is told of traces: every name must stand there.
const DOCUMENTED: &str = include_str!("../../../docs/operating.md");

/// A collector, and all that came to it. It takes webhooks as well.
#[derive(Clone, Default)]
struct Collector {
    url: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { url, ..Self::default() };
        let app = Router::new()
            .route("/v1/traces", post(take))
            .route("/hook", post(async || StatusCode::NO_CONTENT))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        collector
    }

    fn spans(&self) -> Vec<Value> {
        let bodies = self.bodies.lock().unwrap();
        let parsed = bodies.iter().map(|body| serde_json::from_slice::<Value>(body).unwrap());
        parsed
            .flat_map(|body| {
                let resource = &body["resourceSpans"][0];
                let named = json!({"stringValue": "skein-orchestrator"});
                assert_eq!(resource["resource"]["attributes"][0]["value"], named);
                resource["scopeSpans"][0]["spans"].as_array().unwrap().clone()
            })
            .collect()
    }

    /// The first span of that name and with that attribute, once it is there.
    async fn span(&self, name: &str, key: &str, value: Value) -> Value {
        eventually(&format!("a span {name} with {key} comes"), async || {
            let is = |span: &Value| span["name"] == name && attribute(span, key) == value;
            self.spans().into_iter().find(is)
        })
        .await
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers["content-type"] != "application/json" || headers["x-team"] != "a b" {
        return StatusCode::BAD_REQUEST;
    }
    collector.bodies.lock().unwrap().push(body);
    StatusCode::OK
}

/// The value of an attribute; null without one.
fn attribute(span: &Value, key: &str) -> Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    let value = found.and_then(|attribute| attribute["value"].as_object());
    value.and_then(|value| value.values().next()).cloned().unwrap_or_default()
}

async fn ask(product: &Product, sandbox: &str, prompt: &str) {
    let path = format!("{}/messages?note=query-s3cret", product.session_path(sandbox, "s1"));
    let body = json!({
        "turnId": "t1",
        "parts": [{"type": "text", "text": prompt}],
        "backend": {"type": "skein", "model": {}},
    });
    let request = product.request(Method::POST, &path).header("traceparent", CALLER).json(&body);
    product.send(request).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_a_tree_of_spans_below_its_callers_and_holds_no_word_of_anybody() {
    let collector = Collector::start().await;
    let model = ScriptedModel::start().await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let (hook, model_url) = (format!("{}/hook", collector.url), model.url());
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
        ("SKEIN_WEBHOOK_URL", hook.as_str()),
        ("SKEIN_MODEL_URL", model_url.as_str()),
        ("SKEIN_MODEL_KEY", KEY),
        // What is logged has no say in it.
        ("SKEIN_LOG", "error"),
    ];
    let process = Process::start_with(data.path(), 0, &env).await;
    let product = &process.product;
    let id = product.sandbox().await;
    // So that the turn has to start it.
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    ask(product, &id, "diary-s3cret RUN[echo file-s3cret] SAY[answer-s3cret]").await;
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!(record["state"], "completed", "{record}");

    let turn = collector.span("turn", "turn.id", json!("t1")).await;
    assert_eq!(attribute(&turn, "turn.agent"), "skein");
    assert_eq!(attribute(&turn, "turn.outcome"), "completed");
    assert_eq!(attribute(&turn, "sandbox.id"), json!(id));
    assert_eq!(turn["traceId"], "0af7651916cd43dd8448eb211c80319c");
    let request = eventually("the request's span comes", async || {
        collector.spans().into_iter().find(|span| span["spanId"] == turn["parentSpanId"])
    })
    .await;
    assert_eq!((&request["name"], &request["kind"]), (&json!("http.request"), &json!(2)));
    assert_eq!(request["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(attribute(&request, "http.request.method"), "POST");
    assert_eq!(attribute(&request, "http.response.status_code"), "202");
    assert!(attribute(&request, "http.route").as_str().unwrap().contains("{id}"), "{request}");

    let asked = collector.span("model.request", "gen_ai.provider.name", json!("custom")).await;
    assert_eq!(attribute(&asked, "gen_ai.request.model"), "scripted-1");
    assert_eq!(attribute(&asked, "http.response.status_code"), "200");
    let used = model.requests()[0].usage.output.to_string();
    assert_eq!(attribute(&asked, "gen_ai.usage.output_tokens"), json!(used));
    for name in ["sandbox.start", "agent.run", "model.request"] {
        eventually(&format!("the turn's {name} comes"), async || {
            let below =
                |span: &Value| span["name"] == name && span["parentSpanId"] == turn["spanId"];
            collector.spans().into_iter().find(below)
        })
        .await;
    }
    collector.span("webhook.delivery", "webhook.outcome", json!("delivered")).await;

    let secrets = [&product.secrets.api_key, &product.secrets.signing_secret];
    let secrets = secrets.map(|secret| secret.expose_secret().to_owned());
    assert!(process.terminate().await.success());
    for span in collector.spans() {
        let name = span["name"].as_str().unwrap();
        assert!(DOCUMENTED.contains(&format!("`{name}`")), "{name}");
        for attribute in span["attributes"].as_array().unwrap() {
            let key = attribute["key"].as_str().unwrap();
            assert!(DOCUMENTED.contains(&format!("`{key}`")), "{key} of {name}");
        }
    }
    for body in collector.bodies.lock().unwrap().iter() {
        let body = std::str::from_utf8(body).unwrap();
        for word in secrets.iter().map(String::as_str).chain(["s3cret", KEY, "Bearer", "note="]) {
            assert!(!body.contains(word), "{word} in {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_sdk_stands_in_its_callers_trace() {
    let collector = Collector::start().await;
    let data = tempfile::tempdir().unwrap();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
        // The caller decides, not this share.
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ];
    let process = Process::start_with(data.path(), 0, &env).await;
    let product = &process.product;
    let key = product.secrets.api_key.clone();
    let client = Client::new(ClientConfig::new(&product.base, key)).unwrap();
    client.with_trace(CALLER.parse().unwrap()).agents().await.unwrap();
    let span = collector.span("http.request", "http.route", json!("/v1/agents")).await;
    assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
    assert!(process.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_not_let_in_has_no_say_in_what_is_sent() {
    let collector = Collector::start().await;
    let data = tempfile::tempdir().unwrap();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ];
    let process = Process::start_with(data.path(), 0, &env).await;
    let product = &process.product;
    let asks = [
        ("/v1/agents", Method::GET),
        ("/v1/sandboxes", Method::POST),
        ("/sidecar/box/health", Method::GET),
        ("/health", Method::GET),
        ("/none", Method::GET),
    ];
    for (path, method) in asks {
        let url = format!("{}{path}", product.base);
        let request = product.http.request(method, url).header("traceparent", CALLER);
        request.bearer_auth("wrong").send().await.unwrap();
    }
    // What would have been sent is before this one.
    let request = product.request(Method::GET, "/v1/secrets").header("traceparent", CALLER);
    product.send(request).await.expect(200);
    collector.span("http.request", "http.route", json!("/v1/secrets")).await;
    assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
    assert!(process.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_is_away_breaks_no_turn_and_no_end() {
    // It takes connections and never answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", hanging.local_addr().unwrap());
    for url in ["http://127.0.0.1:1", silent.as_str()] {
        let data = tempfile::tempdir().unwrap();
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
        let process = Process::start_with(data.path(), 0, &env).await;
        let product = &process.product;
        let id = product.sandbox().await;
        for turn in ["t1", "t2"] {
            product.dispatch(&id, "s1", turn, "run: echo hi").await.expect(202);
            assert_eq!(product.record(&id, "s1", turn).await["state"], "completed", "{url}");
        }
        assert!(process.terminate().await.success(), "{url}");
    }
}
