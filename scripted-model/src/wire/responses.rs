//! OpenAI's `POST /v1/responses`.

use serde_json::{Value, json};

use super::{Frame, Frames, id, now, pieces, words};
use crate::answer::{Answer, ToolCall};

pub(super) fn stream(answer: &Answer) -> Vec<Frame> {
    let mut events = Events::default();
    let mut response = response(answer, &[], "in_progress");
    for kind in ["response.created", "response.in_progress"] {
        events.add(json!({"type": kind, "response": response}), false);
    }
    let mut output = Vec::new();
    for part in parts(answer) {
        let item = part.item();
        let mut start = part.item();
        part.empty(&mut start);
        let place = Place { index: output.len(), id: item["id"].clone() };
        events.item("response.output_item.added", &place, &start);
        part.stream(&mut events, &place);
        events.item("response.output_item.done", &place, &item);
        output.push(item);
    }
    response["status"] = json!("completed");
    response["output"] = Value::Array(output);
    response["usage"] = usage(answer);
    events.add(json!({"type": "response.completed", "response": response}), false);
    if let Some(last) = events.frames.0.last_mut() {
        last.told = Some(answer.usage);
    }
    events.frames.0
}

pub(super) fn whole(answer: &Answer) -> Value {
    let output: Vec<Value> = parts(answer).iter().map(Part::item).collect();
    let mut response = response(answer, &output, "completed");
    response["usage"] = usage(answer);
    response
}

/// One item of the output.
enum Part<'a> {
    Thinking { id: String, text: &'a str },
    Text { id: String, text: &'a str },
    Call { id: String, call: &'a ToolCall },
}

fn parts(answer: &Answer) -> Vec<Part<'_>> {
    let thinking = answer.thinking.iter().map(|text| Part::Thinking { id: id("rs"), text });
    let text = answer.text.iter().map(|text| Part::Text { id: id("msg"), text });
    let calls = answer.calls.iter().map(|call| {
        let id = id(if call.custom { "ctc" } else { "fc" });
        Part::Call { id, call }
    });
    thinking.chain(text).chain(calls).collect()
}

impl Part<'_> {
    fn item(&self) -> Value {
        match self {
            Self::Thinking { id, text } => json!({"type": "reasoning", "id": id,
                "summary": [{"type": "summary_text", "text": text}], "encrypted_content": "c2NyaXB0ZWQ="}),
            Self::Text { id, text } => json!({"type": "message", "id": id, "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}),
            Self::Call { id, call } if call.custom => json!({"type": "custom_tool_call", "id": id,
                "call_id": call.id, "name": call.name, "input": call.arguments, "status": "completed"}),
            Self::Call { id, call } => json!({"type": "function_call", "id": id,
                "call_id": call.id, "name": call.name, "arguments": call.arguments,
                "status": "completed"}),
        }
    }

    /// Turns the item into what it is before its first delta.
    fn empty(&self, item: &mut Value) {
        let field = match self {
            Self::Thinking { .. } => "summary",
            Self::Text { .. } => "content",
            Self::Call { call, .. } if call.custom => "input",
            Self::Call { .. } => "arguments",
        };
        item[field] = if item[field].is_array() { json!([]) } else { json!("") };
        if !matches!(self, Self::Thinking { .. }) {
            item["status"] = json!("in_progress");
        }
    }

    fn stream(&self, events: &mut Events, place: &Place) {
        match self {
            Self::Thinking { text, .. } => thinking(events, place, text),
            Self::Text { text, .. } => said(events, place, text),
            Self::Call { call, .. } => {
                let (kind, field) = match call.custom {
                    true => ("response.custom_tool_call_input", "input"),
                    false => ("response.function_call_arguments", "arguments"),
                };
                for piece in pieces(&call.arguments) {
                    events.at(
                        place,
                        json!({"type": format!("{kind}.delta"), "delta": piece}),
                        true,
                    );
                }
                events.at(
                    place,
                    json!({"type": format!("{kind}.done"), field: call.arguments}),
                    false,
                );
            }
        }
    }
}

fn thinking(events: &mut Events, place: &Place, text: &str) {
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    let event = |kind: &str, field: &str, value: Value| json!({"type": format!("response.{kind}"), "summary_index": 0, field: value});
    events.at(place, event("reasoning_summary_part.added", "part", part("")), false);
    for word in words(text) {
        events.at(place, event("reasoning_summary_text.delta", "delta", json!(word)), true);
    }
    events.at(place, event("reasoning_summary_text.done", "text", json!(text)), false);
    events.at(place, event("reasoning_summary_part.done", "part", part(text)), false);
}

fn said(events: &mut Events, place: &Place, text: &str) {
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let event = |kind: &str, field: &str, value: Value| json!({"type": format!("response.{kind}"), "content_index": 0, field: value});
    events.at(place, event("content_part.added", "part", part("")), false);
    for word in words(text) {
        events.at(place, event("output_text.delta", "delta", json!(word)), true);
    }
    events.at(place, event("output_text.done", "text", json!(text)), false);
    events.at(place, event("content_part.done", "part", part(text)), false);
}

/// Where in the output an event belongs.
struct Place {
    index: usize,
    id: Value,
}

/// Numbered events.
#[derive(Default)]
struct Events {
    frames: Frames,
}

impl Events {
    fn add(&mut self, mut data: Value, delta: bool) {
        data["sequence_number"] = json!(self.frames.0.len());
        match delta {
            true => self.frames.delta(&data),
            false => self.frames.event(&data),
        }
    }

    fn at(&mut self, place: &Place, mut data: Value, delta: bool) {
        data["item_id"] = place.id.clone();
        data["output_index"] = json!(place.index);
        self.add(data, delta);
    }

    fn item(&mut self, kind: &str, place: &Place, item: &Value) {
        self.add(json!({"type": kind, "output_index": place.index, "item": item}), false);
    }
}

fn response(answer: &Answer, output: &[Value], status: &str) -> Value {
    json!({
        "id": id("resp"),
        "object": "response",
        "created_at": now(),
        "status": status,
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "error": null,
        "incomplete_details": null,
        "usage": null,
    })
}

/// Here cached tokens are part of the input's.
fn usage(answer: &Answer) -> Value {
    let input = answer.usage.input + answer.usage.cache_read;
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": answer.usage.cache_read},
        "output_tokens": answer.usage.output,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": input + answer.usage.output,
    })
}
