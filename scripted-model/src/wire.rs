//! How each format says an answer: whole, or as a stream of server-sent events.

mod chat;
mod messages;
mod responses;

use bytes::Bytes;
use sandbox_sdk::types::WireFormat;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::recorded::Usage;

/// One event of a stream, as bytes.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    /// Whether it carries a piece of the answer.
    pub(crate) delta: bool,
    /// What the client knows of the usage once it has this.
    pub(crate) told: Option<Usage>,
    /// Bytes of text, thought and tool input that it carries.
    pub(crate) written: u64,
}

/// The events of a whole answer, cut off where the script says so.
pub(crate) fn stream(format: WireFormat, answer: &Answer, with_usage: bool) -> Vec<Frame> {
    let mut frames = match format {
        WireFormat::Messages => messages::stream(answer),
        WireFormat::Responses => responses::stream(answer),
        WireFormat::ChatCompletions => chat::stream(answer, with_usage),
    };
    if answer.malformed {
        frames.insert(after_deltas(&frames, 1), broken(format));
    }
    if let Some(cut) = answer.cut {
        frames.truncate(after_deltas(&frames, cut.after));
    }
    frames
}

/// The answer in one piece.
pub(crate) fn whole(format: WireFormat, answer: &Answer) -> Value {
    match format {
        WireFormat::Messages => messages::whole(answer),
        WireFormat::Responses => responses::whole(answer),
        WireFormat::ChatCompletions => chat::whole(answer),
    }
}

/// An error in the format's own shape.
pub(crate) fn error(format: WireFormat, status: u16, message: &str) -> Value {
    match format {
        WireFormat::Messages => messages::error(status, message),
        WireFormat::Responses | WireFormat::ChatCompletions => openai_error(status, message),
    }
}

/// Where so many deltas have passed; where the first would come, for none.
fn after_deltas(frames: &[Frame], deltas: usize) -> usize {
    let places: Vec<usize> =
        frames.iter().enumerate().filter(|(_, frame)| frame.delta).map(|(at, _)| at).collect();
    match deltas {
        0 => places.first().copied().unwrap_or(frames.len()),
        _ => places.get(deltas - 1).or(places.last()).map_or(frames.len(), |at| at + 1),
    }
}

/// An event whose JSON ends in the middle.
fn broken(format: WireFormat) -> Frame {
    let text = match format {
        WireFormat::Messages => {
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del\n\n"
        }
        WireFormat::Responses => {
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.del\n\n"
        }
        WireFormat::ChatCompletions => {
            "data: {\"id\":\"chatcmpl\",\"choices\":[{\"index\":0,\"de\n\n"
        }
    };
    Frame { bytes: Bytes::from_static(text.as_bytes()), delta: false, told: None, written: 0 }
}

/// The frames of one answer, in the making.
#[derive(Default)]
struct Frames(Vec<Frame>);

impl Frames {
    /// Adds an event that is named after its type.
    fn event(&mut self, data: &Value) {
        self.push(data["type"].as_str(), data, false, None);
    }

    fn delta(&mut self, data: &Value) {
        self.push(data["type"].as_str(), data, true, None);
    }

    /// Adds an event that tells of usage.
    fn telling(&mut self, data: &Value, told: Usage) {
        self.push(data["type"].as_str(), data, false, Some(told));
    }

    fn push(&mut self, name: Option<&str>, data: &Value, delta: bool, told: Option<Usage>) {
        let bytes = match name {
            Some(name) => format!("event: {name}\ndata: {data}\n\n"),
            None => format!("data: {data}\n\n"),
        };
        let written = if delta { written(data) } else { 0 };
        self.0.push(Frame { bytes: bytes.into(), delta, told, written });
    }
}

/// Bytes of the piece of an answer that an event carries, wherever its format has it.
fn written(event: &Value) -> u64 {
    const PLACES: [&str; 7] = [
        "/delta",
        "/delta/text",
        "/delta/thinking",
        "/delta/partial_json",
        "/choices/0/delta/content",
        "/choices/0/delta/reasoning_content",
        "/choices/0/delta/tool_calls/0/function/arguments",
    ];
    let pieces = PLACES.iter().filter_map(|place| event.pointer(place)?.as_str());
    pieces.map(|piece| piece.len() as u64).sum()
}

/// A text as a model would give it: word by word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// Arguments as a model would give them: in pieces that break anywhere.
fn pieces(arguments: &str) -> Vec<String> {
    let characters: Vec<char> = arguments.chars().collect();
    characters.chunks(12).map(|piece| piece.iter().collect()).collect()
}

fn id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn openai_error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        402 => ("insufficient_quota", json!("insufficient_quota")),
        403 => ("invalid_request_error", json!("permission_denied")),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("rate_limit_error", json!("rate_limit_exceeded")),
        500.. => ("server_error", json!("server_error")),
        _ => ("invalid_request_error", Value::Null),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}
