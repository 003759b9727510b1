use std::sync::atomic::Ordering;

use serde_json::json;
use tracing::{field::Empty, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::{
    recorder::{Span, Value},
    *,
};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn config(endpoint: &str) -> TracesConfig {
    TracesConfig {
        otlp_endpoint: Some(endpoint.to_owned()),
        otlp_traces_endpoint: None,
        otlp_headers: None,
        otel_service_name: "test".to_owned(),
        otel_traces_share: 1.0,
    }
}

/// The spans that come of some work, and how many there was no room for.
fn recorded(room: usize, work: impl FnOnce()) -> (Vec<Span>, u64) {
    let (sender, mut finished) = mpsc::channel(room);
    let dropped = Arc::new(AtomicU64::new(0));
    let recorder = Recorder::new(Sampler::new(1.0), sender, dropped.clone());
    let targets = Targets::new().with_target(TARGET, LevelFilter::INFO);
    // With one subscriber alone, `tracing` may ask a thread whether anybody listens where nobody does.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let subscriber = tracing_subscriber::registry().with(recorder.with_filter(targets));
    tracing::subscriber::with_default(subscriber, work);
    let spans = std::iter::from_fn(|| finished.try_recv().ok()).collect();
    (spans, dropped.load(Ordering::Relaxed))
}

fn made(name: &str, spans: &[Span]) -> usize {
    spans.iter().position(|span| span.name == name).unwrap()
}

#[test]
fn spans_become_a_tree_below_the_caller_and_others_stay_here() {
    let (spans, dropped) = recorded(8, || {
        let outer = info_span!(target: TARGET, "http.request", traceparent = CALLER);
        let _outer = outer.enter();
        let own = info_span!("not for anybody else", secret = "s3cret");
        let _own = own.enter();
        tracing::info!(target: TARGET, "s3cret words");
        let inner = info_span!(target: TARGET, "turn", turn.agent = "demo", failed = Empty);
        inner.record("failed", true);
        drop(info_span!(target: TARGET, parent: &inner, "model.request", count = 3_u64));
    });
    assert_eq!((spans.len(), dropped), (3, 0));
    assert!(!format!("{spans:?}").contains("s3cret"));
    let [outer, turn, model] =
        ["http.request", "turn", "model.request"].map(|name| &spans[made(name, &spans)]);
    assert_eq!(hex::encode(outer.context.trace), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(outer.parent.map(hex::encode).as_deref(), Some("b7ad6b7169203331"));
    assert!(outer.attributes.is_empty());
    assert_eq!((turn.parent, turn.failed), (Some(outer.context.span), true));
    assert_eq!(turn.attributes, [("turn.agent", Value::Text("demo".to_owned()))]);
    assert_eq!(model.parent, Some(turn.context.span));
    assert!(spans.iter().all(|span| span.context.trace == outer.context.trace));
}

#[test]
fn a_span_is_over_when_it_is_left_and_not_when_the_last_below_it_is() {
    let (spans, _) = recorded(8, || {
        let outer = info_span!(target: TARGET, "http.request");
        let inner = outer.in_scope(|| info_span!(target: TARGET, "turn"));
        drop(outer);
        std::thread::sleep(Duration::from_millis(20));
        drop(inner);
    });
    let [outer, inner] = ["http.request", "turn"].map(|name| &spans[made(name, &spans)]);
    assert!(outer.ended.unwrap() < inner.ended.unwrap());
}

#[test]
fn what_there_is_no_room_for_is_dropped_and_what_is_long_is_cut() {
    let long = "ä".repeat(1000);
    let (spans, dropped) = recorded(2, || {
        for _ in 0..5 {
            drop(info_span!(target: TARGET, "turn", text = long));
        }
    });
    assert_eq!((spans.len(), dropped), (2, 3));
    assert_eq!(spans[0].attributes, [("text", Value::Text("ä".repeat(128)))]);
}

#[test]
fn a_trace_that_the_caller_does_not_send_is_not_sent_here() {
    let (spans, dropped) = recorded(8, || {
        let caller = CALLER.replace("-01", "-00");
        let outer = info_span!(target: TARGET, "http.request", traceparent = caller);
        outer.in_scope(|| drop(info_span!(target: TARGET, "turn")));
    });
    assert_eq!((spans.len(), dropped), (0, 0));
}

#[test]
fn a_caller_that_is_told_late_is_the_caller_and_one_that_comes_second_is_not() {
    let (spans, _) = recorded(8, || {
        let outer = info_span!(target: TARGET, "http.request", traceparent = Empty);
        outer.record("traceparent", CALLER);
        outer.record("traceparent", CALLER.replace("0af7", "ffff").as_str());
        outer.in_scope(|| drop(info_span!(target: TARGET, "turn")));
        let unsampled = info_span!(target: TARGET, "http.request", traceparent = Empty);
        unsampled.record("traceparent", CALLER.replace("-01", "-00").as_str());
    });
    let [outer, turn] = ["http.request", "turn"].map(|name| &spans[made(name, &spans)]);
    assert_eq!(spans.len(), 2);
    assert_eq!(hex::encode(outer.context.trace), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(outer.parent.map(hex::encode).as_deref(), Some("b7ad6b7169203331"));
    assert_eq!((turn.context.trace, turn.parent), (outer.context.trace, Some(outer.context.span)));
}

#[test]
fn a_body_is_the_json_of_otlp() {
    let (spans, _) = recorded(8, || {
        let span = info_span!(target: TARGET, "model.request", text = "a", n = 7_u64, is = true);
        drop(span);
    });
    let body = otlp::request("name", &spans);
    let resource = &body["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"], json!({"stringValue": "name"}));
    let span = &resource["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["kind"]), (&json!("model.request"), &json!(3)));
    let expected = json!([
        {"key": "text", "value": {"stringValue": "a"}},
        {"key": "n", "value": {"intValue": "7"}},
        {"key": "is", "value": {"boolValue": true}},
    ]);
    assert_eq!(span["attributes"], expected);
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert!(span.get("parentSpanId").is_none() && span.get("status").is_none());
    let nanos = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"));
}

#[test]
fn the_variables_are_read_as_opentelemetry_means_them() {
    let url = |config: &TracesConfig| config.url().map(|url| url.map(String::from));
    assert_eq!(url(&config("")).unwrap(), None);
    let below = "http://127.0.0.1:4318/v1/traces";
    assert_eq!(url(&config("http://127.0.0.1:4318/")).unwrap().as_deref(), Some(below));
    let whole = Some("https://traces.example.com/in".to_owned());
    let both = TracesConfig { otlp_traces_endpoint: whole.clone(), ..config(below) };
    assert_eq!(url(&both).unwrap(), whole);
    for wrong in ["collector:4318", "grpc://collector", "not a url"] {
        assert!(matches!(url(&config(wrong)), Err(TracesError::Endpoint)), "{wrong}");
    }

    let with = |headers: &str| TracesConfig {
        otlp_headers: Some(headers.to_owned().into()),
        ..config(below)
    };
    let headers = with("authorization=Bearer%20k3y, x-team = a+b").headers().unwrap();
    assert!(headers["authorization"] == "Bearer k3y" && headers["x-team"] == "a+b");
    assert!(!format!("{headers:?} {:?}", with("a=k3y")).contains("k3y"));
    for wrong in ["authorization", "a b=c", "a=%0a"] {
        assert!(matches!(with(wrong).headers(), Err(TracesError::Headers)), "{wrong}");
    }

    assert_eq!((share(""), share("0.25")), (Ok(1.0), Ok(0.25)));
    assert!(["2", "-1", "NaN", "all"].iter().all(|wrong| share(wrong).is_err()));
}

#[tokio::test]
async fn without_a_collector_there_is_no_layer_and_no_task() {
    let runtime = Handle::current();
    assert!(config(" ").begin(&runtime).unwrap().is_none());
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}

#[test]
fn a_method_is_never_the_callers_own_word() {
    assert_eq!(method(&http::Method::PATCH), "PATCH");
    assert_eq!(method(&http::Method::from_bytes(b"S3CRET").unwrap()), "_OTHER");
}
