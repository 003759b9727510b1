//! OpenAI's `POST /v1/chat/completions`, as OpenAI and everybody else has it.

use serde_json::{Value, json};

use super::{Piece, Request, Stop, think_tags::ThinkTags};
use crate::builtin::{
    conversation::{Block, Message},
    toolbox::Spec,
};

/// Fields in which hosts send thoughts.
const THOUGHTS: [&str; 2] = ["reasoning_content", "reasoning"];

pub(super) fn body(model: &str, request: &Request<'_>) -> Value {
    let mut messages = vec![json!({ "role": "system", "content": request.system })];
    for (index, message) in request.messages.iter().enumerate() {
        match message {
            Message::User { text } => say(&mut messages, "user", text),
            Message::Assistant { blocks } => {
                let current = index >= request.turn_start;
                answer(&mut messages, blocks, request, current);
            }
            Message::Tools { results } => {
                for result in results {
                    if request.tools.is_empty() {
                        say(&mut messages, "user", &format!("[It gave]\n{}", result.text));
                    } else {
                        messages.push(json!({ "role": "tool", "tool_call_id": result.call_id,
                            "content": result.text }));
                    }
                }
            }
        }
    }
    let mut body = json!({
        "model": model,
        "stream": true,
        "stream_options": { "include_usage": true },
        "messages": messages,
    });
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
        if !request.may_call {
            body["tool_choice"] = json!("none");
        }
    }
    body
}

/// Many models' templates want the sides to alternate: what the same one says in succession is one
/// message.
fn say(messages: &mut Vec<Value>, role: &str, text: &str) {
    if let Some(last) = messages.last_mut()
        && last["role"] == role
        && last.get("tool_calls").is_none()
        && let Some(said) = last["content"].as_str()
    {
        last["content"] = json!(format!("{said}\n\n{text}"));
    } else {
        messages.push(json!({ "role": role, "content": text }));
    }
}

fn answer(messages: &mut Vec<Value>, blocks: &[Block], request: &Request<'_>, current: bool) {
    let (mut text, mut calls) = (String::new(), Vec::new());
    let mut thoughts: Option<(&str, String)> = None;
    for block in blocks {
        match block {
            Block::Text { text: said } => add(&mut text, said),
            Block::Call(call) if request.tools.is_empty() => {
                add(&mut text, &format!("[I called {} with {}]", call.name, call.input));
            }
            Block::Call(call) => calls.push(json!({ "id": call.id, "type": "function",
                "function": { "name": call.name, "arguments": call.input.to_string() } })),
            Block::Thinking { text: thought, field, .. } => {
                if let Some(field) = THOUGHTS.iter().find(|known| *known == field) {
                    thoughts.get_or_insert_with(|| (field, String::new())).1.push_str(thought);
                }
            }
            Block::Redacted { .. } => {}
        }
    }
    if calls.is_empty() {
        if !text.is_empty() {
            say(messages, "assistant", &text);
        }
        return;
    }
    let content = if text.is_empty() { Value::Null } else { json!(text) };
    let mut message = json!({ "role": "assistant", "content": content, "tool_calls": calls });
    // Hosts that think between calls want to see what they thought, but not that of earlier turns.
    if let (true, Some((field, thought))) = (current, thoughts) {
        message[field] = json!(thought);
    }
    messages.push(message);
}

fn add(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

fn tool(spec: &Spec) -> Value {
    json!({ "type": "function", "function": { "name": spec.name, "description": spec.description,
        "parameters": spec.parameters } })
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    tags: ThinkTags,
    /// Id and number of the call that each index stands for. Some hosts give every call the same one.
    calls: Vec<(u64, String)>,
}

impl Reader {
    pub(super) fn read(&mut self, event: &Value) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if let Some(tokens) = event["usage"]["prompt_tokens"].as_u64() {
            pieces.push(Piece::Read(tokens));
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        for field in THOUGHTS {
            if let Some(text) = delta[field].as_str().filter(|text| !text.is_empty()) {
                pieces.push(Piece::Thinking(text.to_owned(), field));
                // The same words in both fields are meant once.
                break;
            }
        }
        if let Some(text) = delta["content"].as_str().filter(|text| !text.is_empty()) {
            pieces.extend(self.tags.read(text));
        }
        for (position, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            pieces.extend(self.tags.finish());
            pieces.push(self.call(call, position as u64));
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            pieces.extend(self.tags.finish());
            pieces.push(Piece::Stop(stop(reason)));
        }
        pieces
    }

    pub(super) fn finish(&mut self) -> Vec<Piece> {
        self.tags.finish().into_iter().collect()
    }

    fn call(&mut self, call: &Value, position: u64) -> Piece {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let given = call["index"].as_u64().unwrap_or(position);
        let (id, name) = (text(&call["id"]), text(&call["function"]["name"]));
        let known = self.calls.iter().rposition(|(index, _)| *index == given);
        let other = |number: usize| {
            !id.is_empty() && !name.is_empty() && self.calls.get(number).is_some_and(|c| c.1 != id)
        };
        let number = match known {
            Some(number) if !other(number) => number,
            _ => {
                self.calls.push((given, id.clone()));
                self.calls.len() - 1
            }
        };
        let arguments = match &call["function"]["arguments"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            whole => whole.to_string(),
        };
        Piece::Call { index: number as u64, id, name, arguments }
    }
}

fn stop(reason: &str) -> Stop {
    match reason {
        "length" => Stop::Length,
        "content_filter" => Stop::Refused,
        _ => Stop::Done,
    }
}
