use std::collections::HashSet;

use sandbox_sdk::types::{MeteredRequest, TurnState};
use serde_json::json;

use super::*;

fn metrics() -> (Metrics, LogFigures, SandboxFigures, GatewayFigures, WebhookFigures) {
    let (log, sandboxes) = (LogFigures::default(), SandboxFigures::default());
    let (gateway, webhooks) = (GatewayFigures::default(), WebhookFigures::default());
    let metrics = Metrics::new(&log, &sandboxes, &gateway, &webhooks);
    (metrics, log, sandboxes, gateway, webhooks)
}

/// The names with their labels, and the values, of text that must be what Prometheus reads.
fn series(text: &str) -> Vec<(String, f64)> {
    let (mut typed, mut found) = (HashSet::new(), Vec::new());
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "{name} is there twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.bytes().all(plain) && name.starts_with("skein_"), "{line}");
            let of = |suffix: &str| name.strip_suffix(suffix).is_some_and(|n| typed.contains(n));
            let ends = ["", "_total", "_sum", "_count", "_bucket"];
            assert!(ends.iter().any(|suffix| of(suffix)), "{line} has no type");
            found.push((series.to_owned(), value.parse().unwrap()));
        }
    }
    found
}

#[track_caller]
fn value(text: &str, wanted: &str) -> f64 {
    let found = series(text);
    let is = |(name, _): &&(String, f64)| name == wanted;
    found.iter().find(is).unwrap_or_else(|| panic!("no {wanted} in\n{text}")).1
}

#[test]
fn what_was_counted_can_be_read_as_prometheus_reads_it() {
    let (metrics, log, sandboxes, gateway, webhooks) = metrics();
    metrics.answered("/v1/sandboxes/{id}", StatusCode::OK, Duration::from_millis(3));
    metrics.answered("/v1/sandboxes/{id}", StatusCode::NOT_FOUND, Duration::from_millis(3));
    metrics.command_ran();
    log.appended(3, Duration::from_millis(2));
    sandboxes.started(Duration::from_millis(200), true);
    sandboxes.started(Duration::from_secs(20), false);
    gateway.opened();
    gateway.sent(5);
    gateway.replay_begun();
    gateway.closed(4429, "slow");
    webhooks.tried("retried", 2);
    let now = Now { sandboxes: [("running".to_owned(), 2)].into(), viewers: 7, ..Now::default() };
    let text = metrics.encode(&now).unwrap();
    for (name, expected) in [
        (r#"skein_http_requests_total{route="/v1/sandboxes/{id}",status="2xx"}"#, 1.0),
        (r#"skein_http_requests_total{route="/v1/sandboxes/{id}",status="4xx"}"#, 1.0),
        (r#"skein_http_request_seconds_count{route="/v1/sandboxes/{id}"}"#, 2.0),
        ("skein_commands_total", 1.0),
        ("skein_events_appended_total", 3.0),
        ("skein_append_seconds_count", 1.0),
        (r#"skein_sandbox_starts_total{outcome="failed"}"#, 1.0),
        ("skein_sandbox_start_seconds_count", 1.0),
        ("skein_gateway_connections_opened_total", 1.0),
        ("skein_gateway_frames_sent_total", 5.0),
        ("skein_gateway_replays_total", 1.0),
        (r#"skein_gateway_connections_closed_total{code="4429",reason="slow"}"#, 1.0),
        (r#"skein_webhook_deliveries_total{outcome="retried"}"#, 2.0),
        ("skein_gateway_connections", 7.0),
        (r#"skein_sandboxes{status="running"}"#, 2.0),
        (r#"skein_sandboxes{status="stopped"}"#, 0.0),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
}

#[test]
fn a_turn_brings_its_outcome_and_its_requests() {
    let (metrics, log, ..) = metrics();
    let request = |status: u16, complete: bool| -> MeteredRequest {
        serde_json::from_value(json!({
            "at": 1, "model": "openai/gpt-5", "format": "chat-completions", "status": status,
            "tokenUsage": {"inputTokens": 10, "outputTokens": 4},
            "estimated": false, "complete": complete, "durationMs": 20,
        }))
        .unwrap()
    };
    let requests =
        [request(200, true), request(200, false), request(529, false), request(0, false)];
    log.turn_ended(TurnState::Completed, &requests);
    let foreign = MeteredRequest { model: "chosen/word".to_owned(), ..request(200, true) };
    log.turn_ended(TurnState::Failed, &[foreign]);
    let text = metrics.encode(&Now::default()).unwrap();
    for (name, expected) in [
        (r#"skein_turns_ended_total{outcome="completed"}"#, 1.0),
        (r#"skein_model_requests_total{provider="other",outcome="2xx"}"#, 1.0),
        (r#"skein_model_requests_total{provider="openai",outcome="2xx"}"#, 1.0),
        (r#"skein_model_requests_total{provider="openai",outcome="cut"}"#, 1.0),
        (r#"skein_model_requests_total{provider="openai",outcome="5xx"}"#, 1.0),
        (r#"skein_model_requests_total{provider="openai",outcome="unanswered"}"#, 1.0),
        (r#"skein_model_tokens_total{provider="openai",kind="input"}"#, 40.0),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    assert!(!text.contains("gpt-5"), "a caller may name any model");
    assert!(!text.contains("chosen"), "and any provider");
}

#[test]
fn every_status_has_a_class() {
    for (status, expected) in
        [(101, "1xx"), (204, "2xx"), (304, "3xx"), (404, "4xx"), (503, "5xx"), (0, "other")]
    {
        assert_eq!(class(status), expected);
    }
}
