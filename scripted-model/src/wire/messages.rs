//! Anthropic's `POST /v1/messages`.

use serde_json::{Value, json};

use super::{Frame, Frames, id, pieces, words};
use crate::answer::{Answer, ToolCall};
use crate::recorded::Usage;

pub(super) fn stream(answer: &Answer) -> Vec<Frame> {
    let mut frames = Frames::default();
    // The real one, too, counts one token of output here, whatever follows.
    let started = Usage { output: answer.usage.output.min(1), ..answer.usage };
    let mut message = message(answer, json!([]), started);
    message["stop_reason"] = Value::Null;
    frames.telling(&json!({"type": "message_start", "message": message}), started);
    frames.event(&json!({"type": "ping"}));
    blocks(&mut frames, answer);
    let end = json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null},
        "usage": usage(answer.usage),
    });
    frames.telling(&end, answer.usage);
    frames.event(&json!({"type": "message_stop"}));
    frames.0
}

fn blocks(frames: &mut Frames, answer: &Answer) {
    let mut index = 0;
    if let Some(thinking) = &answer.thinking {
        let mut deltas: Vec<Value> = words(thinking)
            .map(|word| json!({"type": "thinking_delta", "thinking": word}))
            .collect();
        deltas.push(json!({"type": "signature_delta", "signature": SIGNATURE}));
        let start = json!({"type": "thinking", "thinking": "", "signature": ""});
        block(frames, &mut index, &start, deltas);
    }
    if let Some(text) = &answer.text {
        let deltas = words(text).map(|word| json!({"type": "text_delta", "text": word})).collect();
        block(frames, &mut index, &json!({"type": "text", "text": ""}), deltas);
    }
    for call in &answer.calls {
        let deltas = pieces(&call.arguments)
            .into_iter()
            .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
            .collect();
        block(frames, &mut index, &tool_use(call, json!({})), deltas);
    }
}

fn block(frames: &mut Frames, index: &mut usize, start: &Value, deltas: Vec<Value>) {
    frames.event(&json!({"type": "content_block_start", "index": index, "content_block": start}));
    for delta in deltas {
        let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
        match delta["type"] == "signature_delta" {
            true => frames.event(&data),
            false => frames.delta(&data),
        }
    }
    frames.event(&json!({"type": "content_block_stop", "index": index}));
    *index += 1;
}

pub(super) fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE}));
    }
    if let Some(text) = &answer.text {
        content.push(json!({"type": "text", "text": text}));
    }
    for call in &answer.calls {
        let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        content.push(tool_use(call, input));
    }
    message(answer, Value::Array(content), answer.usage)
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": id("req")})
}

/// Stands for what the real one signs its thoughts with.
const SIGNATURE: &str = "c2NyaXB0ZWQ=";

fn message(answer: &Answer, content: Value, told: Usage) -> Value {
    json!({
        "id": id("msg"),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "usage": usage(told),
    })
}

fn tool_use(call: &ToolCall, input: Value) -> Value {
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.calls.is_empty() { "end_turn" } else { "tool_use" }
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "service_tier": "standard",
    })
}
