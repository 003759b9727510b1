//! A client that reads each format by its own rules.

use reqwest::{Client, Response};
use scripted_model::{Recorded, ScriptedModel, Usage, WireFormat};
use serde_json::{Value, json};

pub(crate) const FORMATS: [WireFormat; 3] =
    [WireFormat::Messages, WireFormat::Responses, WireFormat::ChatCompletions];

pub(crate) struct Peer {
    pub(crate) model: ScriptedModel,
    http: Client,
}

/// What a client makes of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) thinking: String,
    /// Name and arguments.
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) usage: Usage,
    /// Why the answer ended, in the format's own word; empty if it did not.
    pub(crate) end: String,
}

/// A stream as it came: its events, and whether it was read to a proper end.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) events: Vec<(Option<String>, String)>,
    pub(crate) whole: bool,
}

impl Peer {
    pub(crate) async fn new() -> Self {
        Self { model: ScriptedModel::start().await.unwrap(), http: Client::new() }
    }

    pub(crate) async fn post(&self, format: WireFormat, body: &Value) -> Response {
        let request = self.http.post(self.model.url() + path(format)).json(body);
        let request = match format {
            WireFormat::Messages => request.header("x-api-key", "test-key"),
            _ => request.bearer_auth("test-key"),
        };
        request.send().await.unwrap()
    }

    pub(crate) async fn stream(&self, format: WireFormat, prompt: &str) -> Streamed {
        self.stream_of(format, &body(format, prompt, true)).await
    }

    pub(crate) async fn stream_of(&self, format: WireFormat, body: &Value) -> Streamed {
        let response = self.post(format, body).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        read(response).await
    }

    pub(crate) async fn whole(&self, format: WireFormat, prompt: &str) -> Value {
        let response = self.post(format, &body(format, prompt, false)).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(self.model.url() + path).send().await.unwrap()
    }

    pub(crate) fn last(&self) -> Recorded {
        self.model.requests().pop().unwrap()
    }
}

pub(crate) fn path(format: WireFormat) -> &'static str {
    match format {
        WireFormat::Messages => "/v1/messages",
        WireFormat::Responses => "/v1/responses",
        WireFormat::ChatCompletions => "/v1/chat/completions",
    }
}

/// A first request with a shell tool, as an agent of this format would send it.
pub(crate) fn body(format: WireFormat, prompt: &str, stream: bool) -> Value {
    let schema = json!({"type": "object", "properties": {"command": {"type": "string"}},
        "required": ["command"]});
    let user = json!({"role": "user", "content": prompt});
    match format {
        WireFormat::Messages => json!({"model": "m", "stream": stream, "max_tokens": 8000,
            "system": "You help.", "messages": [user],
            "tools": [{"name": "Bash", "input_schema": schema}]}),
        WireFormat::Responses => json!({"model": "m", "stream": stream, "store": false,
            "instructions": "You help.", "input": [user],
            "tools": [{"type": "function", "name": "exec_command", "parameters": {
                "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}}]}),
        WireFormat::ChatCompletions => json!({"model": "m", "stream": stream,
            "stream_options": {"include_usage": true},
            "messages": [{"role": "system", "content": "You help."}, user],
            "tools": [{"type": "function", "function": {"name": "bash", "parameters": schema}}]}),
    }
}

async fn read(mut response: Response) -> Streamed {
    let mut text = Vec::new();
    let whole = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let text = String::from_utf8(text).unwrap();
    let events = text.split_terminator("\n\n").map(event).collect();
    Streamed { events, whole }
}

fn event(text: &str) -> (Option<String>, String) {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    (field("event: ").map(str::to_owned), field("data: ").unwrap().to_owned())
}

impl Streamed {
    /// Names of the events, repeats in a row once.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.events.iter().filter_map(|(name, _)| name.as_deref()).collect();
        names.dedup();
        names
    }

    /// The events' JSON. An event that is not JSON fails the test.
    pub(crate) fn data(&self) -> Vec<Value> {
        self.events
            .iter()
            .filter(|(_, data)| data != "[DONE]")
            .map(|(name, data)| {
                let data: Value = serde_json::from_str(data).unwrap();
                if let Some(name) = name {
                    assert_eq!(data["type"], name.as_str(), "an event is named after its type");
                }
                data
            })
            .collect()
    }

    pub(crate) fn heard(&self, format: WireFormat) -> Heard {
        let mut heard = Heard::default();
        for data in self.data() {
            match format {
                WireFormat::Messages => heard.messages_event(&data),
                WireFormat::Responses => heard.responses_event(&data),
                WireFormat::ChatCompletions => heard.chat_chunk(&data),
            }
        }
        heard
    }
}

impl Heard {
    fn messages_event(&mut self, data: &Value) {
        let delta = &data["delta"];
        match data["type"].as_str().unwrap() {
            "message_start" => self.usage = messages_usage(&data["message"]["usage"]),
            "content_block_start" if data["content_block"]["type"] == "tool_use" => {
                self.calls.push((string(&data["content_block"]["name"]), String::new()));
            }
            "content_block_delta" => {
                self.text += &string(&delta["text"]);
                self.thinking += &string(&delta["thinking"]);
                if let Some(piece) = delta["partial_json"].as_str() {
                    self.calls.last_mut().unwrap().1 += piece;
                }
            }
            "message_delta" => {
                self.usage = messages_usage(&data["usage"]);
                self.end = string(&delta["stop_reason"]);
            }
            _ => {}
        }
    }

    fn responses_event(&mut self, data: &Value) {
        let delta = string(&data["delta"]);
        match data["type"].as_str().unwrap() {
            "response.output_text.delta" => self.text += &delta,
            "response.reasoning_summary_text.delta" => self.thinking += &delta,
            "response.output_item.added" if !data["item"]["call_id"].is_null() => {
                self.calls.push((string(&data["item"]["name"]), String::new()));
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.calls.last_mut().unwrap().1 += &delta;
            }
            "response.completed" => {
                let whole = responses_whole(&data["response"]);
                let streamed = (&self.text, &self.thinking, &self.calls);
                assert_eq!(streamed, (&whole.text, &whole.thinking, &whole.calls));
                *self = whole;
            }
            _ => {}
        }
    }

    fn chat_chunk(&mut self, data: &Value) {
        assert_eq!(data["object"], "chat.completion.chunk");
        let delta = &data["choices"][0]["delta"];
        self.text += &string(&delta["content"]);
        self.thinking += &string(&delta["reasoning_content"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == self.calls.len() {
                self.calls.push((string(&call["function"]["name"]), String::new()));
            }
            self.calls[index].1 += &string(&call["function"]["arguments"]);
        }
        if let Some(reason) = data["choices"][0]["finish_reason"].as_str() {
            self.end = reason.to_owned();
        }
        if data["usage"].is_object() {
            assert_eq!(data["choices"], json!([]));
            self.usage = openai_usage(&data["usage"], ["prompt_tokens", "completion_tokens"]);
        }
    }
}

/// Reads an answer that came in one piece.
pub(crate) fn whole(format: WireFormat, data: &Value) -> Heard {
    match format {
        WireFormat::Messages => messages_whole(data),
        WireFormat::Responses => responses_whole(data),
        WireFormat::ChatCompletions => chat_whole(data),
    }
}

fn messages_whole(data: &Value) -> Heard {
    let mut heard = Heard { end: string(&data["stop_reason"]), ..Heard::default() };
    for block in data["content"].as_array().unwrap() {
        heard.text += &string(&block["text"]);
        heard.thinking += &string(&block["thinking"]);
        if block["type"] == "tool_use" {
            heard.calls.push((string(&block["name"]), block["input"].to_string()));
        }
    }
    heard.usage = messages_usage(&data["usage"]);
    heard
}

fn responses_whole(data: &Value) -> Heard {
    let mut heard = Heard { end: string(&data["status"]), ..Heard::default() };
    for item in data["output"].as_array().unwrap() {
        heard.text += &string(&item["content"][0]["text"]);
        heard.thinking += &string(&item["summary"][0]["text"]);
        if !item["call_id"].is_null() {
            let arguments = string(&item["arguments"]) + &string(&item["input"]);
            heard.calls.push((string(&item["name"]), arguments));
        }
    }
    heard.usage = openai_usage(&data["usage"], ["input_tokens", "output_tokens"]);
    heard
}

fn chat_whole(data: &Value) -> Heard {
    let message = &data["choices"][0]["message"];
    let call =
        |call: &Value| (string(&call["function"]["name"]), string(&call["function"]["arguments"]));
    Heard {
        text: string(&message["content"]),
        thinking: string(&message["reasoning_content"]),
        calls: message["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
        usage: openai_usage(&data["usage"], ["prompt_tokens", "completion_tokens"]),
        end: string(&data["choices"][0]["finish_reason"]),
    }
}

fn messages_usage(usage: &Value) -> Usage {
    Usage {
        input: usage["input_tokens"].as_u64().unwrap(),
        cache_read: usage["cache_read_input_tokens"].as_u64().unwrap(),
        cache_write: usage["cache_creation_input_tokens"].as_u64().unwrap(),
        output: usage["output_tokens"].as_u64().unwrap(),
    }
}

fn openai_usage(usage: &Value, [input, output]: [&str; 2]) -> Usage {
    let cached = usage[format!("{input}_details")]["cached_tokens"].as_u64().unwrap();
    let input = usage[input].as_u64().unwrap();
    let output = usage[output].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], input + output);
    Usage { input: input - cached, cache_read: cached, cache_write: 0, output }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
