//! The JSON that OTLP has for spans.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::recorder::{Span, Value};

/// Status of a span that failed.
const ERROR: u8 = 2;

/// The body of a request that brings these spans.
pub(super) fn request(service: &str, spans: &[Span]) -> Json {
    let spans: Vec<_> = spans.iter().map(one).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": service}},
            {"key": "service.version", "value": {"stringValue": env!("CARGO_PKG_VERSION")}},
        ]},
        "scopeSpans": [{"scope": {"name": "skein"}, "spans": spans}],
    }]})
}

fn one(span: &Span) -> Json {
    let attributes: Vec<_> = span.attributes.iter().map(attribute).collect();
    let mut json = json!({
        "traceId": hex::encode(span.context.trace),
        "spanId": hex::encode(span.context.span),
        "name": span.name,
        "kind": kind(span.name),
        "startTimeUnixNano": nanos(span.started),
        "endTimeUnixNano": nanos(span.ended.unwrap_or(span.started)),
        "attributes": attributes,
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = hex::encode(parent).into();
    }
    if span.failed {
        json["status"] = json!({"code": ERROR});
    }
    json
}

fn attribute((key, value): &(&'static str, Value)) -> Json {
    let value = match value {
        Value::Text(text) => json!({"stringValue": text}),
        // 64 bits are text in the JSON of protocol buffers.
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Flag(flag) => json!({"boolValue": flag}),
    };
    json!({"key": key, "value": value})
}

/// Whether a span serves somebody, asks somebody, or is about neither.
fn kind(name: &str) -> u8 {
    match name {
        "http.request" => 2,
        "model.request" | "webhook.delivery" => 3,
        _ => 1,
    }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string()
}
