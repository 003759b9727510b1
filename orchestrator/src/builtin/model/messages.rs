//! Anthropic's `POST /v1/messages`.

use serde_json::{Value, json};

use super::{Piece, Request, Stop};
use crate::builtin::{
    conversation::{Block, Message, ToolResult},
    toolbox::Spec,
};

/// Field under which a thought's block came, for conversations that change their model in between.
const FIELD: &str = "thinking";

pub(super) fn body(model: &str, request: &Request<'_>) -> Value {
    let mut messages: Vec<Value> = Vec::with_capacity(request.messages.len());
    for message in request.messages {
        let (role, content) = match message {
            Message::User { text } => ("user", vec![text_block(text)]),
            Message::Assistant { blocks } => {
                ("assistant", blocks.iter().filter_map(|block| answer(block, request)).collect())
            }
            Message::Tools { results } if request.tools.is_empty() => {
                ("user", results.iter().map(|result| text_block(&told(&result.text))).collect())
            }
            Message::Tools { results } => {
                let block = |result: &ToolResult| {
                    json!({ "type": "tool_result", "tool_use_id": name(&result.call_id),
                        "content": filled(&result.text), "is_error": result.is_error })
                };
                ("user", results.iter().map(block).collect())
            }
        };
        push(&mut messages, role, content);
    }
    cache_up_to_here(&mut messages);
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_tokens,
        "stream": true,
        "system": [{ "type": "text", "text": request.system,
            "cache_control": { "type": "ephemeral" } }],
        "messages": messages,
    });
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
        if !request.may_call {
            body["tool_choice"] = json!({ "type": "none" });
        }
    }
    if let Some(budget) = request.thinking {
        body["thinking"] = json!({ "type": "enabled", "budget_tokens": budget });
        body["max_tokens"] = json!(request.max_tokens.saturating_add(budget));
    }
    body
}

/// Turns alternate: what the same side says in succession is one message.
fn push(messages: &mut Vec<Value>, role: &str, content: Vec<Value>) {
    if content.is_empty() {
        return;
    }
    if let Some(last) = messages.last_mut()
        && last["role"] == role
        && let Some(blocks) = last["content"].as_array_mut()
    {
        blocks.extend(content);
    } else {
        messages.push(json!({ "role": role, "content": content }));
    }
}

/// The next request begins with all of this one: the provider need not read it again.
fn cache_up_to_here(messages: &mut [Value]) {
    let blocks = messages.last_mut().and_then(|message| message["content"].as_array_mut());
    if let Some(block) = blocks.and_then(|blocks| blocks.last_mut()) {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
}

fn answer(block: &Block, request: &Request<'_>) -> Option<Value> {
    match block {
        Block::Text { text } if text.trim().is_empty() => None,
        // White space at the end of an answer is refused when the answer is the last message.
        Block::Text { text } => Some(text_block(text.trim_end())),
        Block::Thinking { text, signature, field } => {
            let signature = signature.as_ref().filter(|_| field == FIELD)?;
            Some(json!({ "type": "thinking", "thinking": text, "signature": signature }))
        }
        Block::Redacted { data } => Some(json!({ "type": "redacted_thinking", "data": data })),
        Block::Call(call) if request.tools.is_empty() => {
            Some(text_block(&format!("[I called {} with {}]", call.name, call.input)))
        }
        Block::Call(call) => Some(json!({
            "type": "tool_use", "id": name(&call.id), "name": call.name, "input": call.input,
        })),
    }
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": filled(text) })
}

fn told(text: &str) -> String {
    format!("[It gave]\n{text}")
}

/// Empty texts are refused.
fn filled(text: &str) -> &str {
    if text.trim().is_empty() { "(empty)" } else { text }
}

/// Another provider's ids may hold other characters.
fn name(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    id.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

fn tool(spec: &Spec) -> Value {
    json!({ "name": spec.name, "description": spec.description, "input_schema": spec.parameters })
}

/// Reads one event.
pub(super) fn read(event: &Value) -> Vec<Piece> {
    let index = event["index"].as_u64().unwrap_or_default();
    match event["type"].as_str().unwrap_or_default() {
        "message_start" => read_tokens(&event["message"]["usage"]).into_iter().collect(),
        "content_block_start" => begin(index, &event["content_block"]).into_iter().collect(),
        "content_block_delta" => grow(index, &event["delta"]).into_iter().collect(),
        "message_delta" => {
            let reason = event["delta"]["stop_reason"].as_str();
            reason.map(|reason| Piece::Stop(stop(reason))).into_iter().collect()
        }
        "message_stop" => vec![Piece::Stop(Stop::Done), Piece::End],
        _ => Vec::new(),
    }
}

fn begin(index: u64, block: &Value) -> Option<Piece> {
    let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
    match block["type"].as_str()? {
        "text" => Some(Piece::Text(text("text"))),
        "thinking" => Some(Piece::Thinking(text("thinking"), FIELD)),
        "redacted_thinking" => Some(Piece::Redacted(text("data"))),
        "tool_use" => {
            // Streamed in pieces after this, except by hosts that send it at once.
            let whole = block["input"].as_object().filter(|input| !input.is_empty());
            let arguments = whole.map(|_| block["input"].to_string()).unwrap_or_default();
            Some(Piece::Call { index, id: text("id"), name: text("name"), arguments })
        }
        _ => None,
    }
}

fn grow(index: u64, delta: &Value) -> Option<Piece> {
    let text = |name: &str| delta[name].as_str().unwrap_or_default().to_owned();
    match delta["type"].as_str()? {
        "text_delta" => Some(Piece::Text(text("text"))),
        "thinking_delta" => Some(Piece::Thinking(text("thinking"), FIELD)),
        "signature_delta" => Some(Piece::Signature(text("signature"))),
        "input_json_delta" => {
            let arguments = text("partial_json");
            Some(Piece::Call { index, id: String::new(), name: String::new(), arguments })
        }
        _ => None,
    }
}

fn read_tokens(usage: &Value) -> Option<Piece> {
    let parts = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    usage["input_tokens"].as_u64()?;
    Some(Piece::Read(parts.iter().filter_map(|part| usage[part].as_u64()).sum()))
}

fn stop(reason: &str) -> Stop {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "refusal" => Stop::Refused,
        _ => Stop::Done,
    }
}
