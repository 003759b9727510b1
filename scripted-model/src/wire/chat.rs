//! OpenAI's `POST /v1/chat/completions`, with reasoning as DeepSeek and llama.cpp tell it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Frame, Frames, id, now, pieces, words};
use crate::answer::Answer;

pub(super) fn stream(answer: &Answer, with_usage: bool) -> Vec<Frame> {
    let mut chunks = Chunks { frames: Frames::default(), base: base(answer), with_usage };
    chunks.add(&json!({"role": "assistant", "content": ""}), None, false);
    for word in answer.thinking.iter().flat_map(|thinking| words(thinking)) {
        chunks.add(&json!({"reasoning_content": word}), None, true);
    }
    for word in answer.text.iter().flat_map(|text| words(text)) {
        chunks.add(&json!({"content": word}), None, true);
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let start = json!({"index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""}});
        chunks.add(&json!({"tool_calls": [start]}), None, false);
        for piece in pieces(&call.arguments) {
            let more = json!({"index": index, "function": {"arguments": piece}});
            chunks.add(&json!({"tool_calls": [more]}), None, true);
        }
    }
    chunks.add(&json!({}), Some(finish_reason(answer)), false);
    chunks.end(answer)
}

struct Chunks {
    frames: Frames,
    base: Value,
    with_usage: bool,
}

impl Chunks {
    fn add(&mut self, delta: &Value, finish_reason: Option<&str>, is_delta: bool) {
        let mut chunk = self.base.clone();
        chunk["object"] = json!("chat.completion.chunk");
        chunk["choices"] =
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
        if self.with_usage {
            chunk["usage"] = Value::Null;
        }
        self.frames.push(None, &chunk, is_delta, None);
    }

    fn end(mut self, answer: &Answer) -> Vec<Frame> {
        if self.with_usage {
            let mut chunk = self.base.clone();
            chunk["object"] = json!("chat.completion.chunk");
            chunk["choices"] = json!([]);
            chunk["usage"] = usage(answer);
            self.frames.push(None, &chunk, false, Some(answer.usage));
        }
        let done = Bytes::from_static(b"data: [DONE]\n\n");
        self.frames.0.push(Frame { bytes: done, delta: false, told: None, written: 0 });
        self.frames.0
    }
}

pub(super) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.text, "refusal": null});
    if let Some(thinking) = &answer.thinking {
        message["reasoning_content"] = json!(thinking);
    }
    if !answer.calls.is_empty() {
        let call = |call: &crate::answer::ToolCall| {
            json!({"id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}})
        };
        message["tool_calls"] = answer.calls.iter().map(call).collect();
    }
    let mut completion = base(answer);
    completion["object"] = json!("chat.completion");
    completion["choices"] = json!([{"index": 0, "message": message, "logprobs": null,
        "finish_reason": finish_reason(answer)}]);
    completion["usage"] = usage(answer);
    completion
}

fn base(answer: &Answer) -> Value {
    json!({"id": id("chatcmpl"), "created": now(), "model": answer.model})
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.calls.is_empty() { "stop" } else { "tool_calls" }
}

/// Here cached tokens are part of the prompt's.
fn usage(answer: &Answer) -> Value {
    let prompt = answer.usage.input + answer.usage.cache_read;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer.usage.output,
        "total_tokens": prompt + answer.usage.output,
        "prompt_tokens_details": {"cached_tokens": answer.usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    })
}
