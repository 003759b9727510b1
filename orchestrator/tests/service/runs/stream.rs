//! A stream of events, read as the public client reads it.

use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::{PATIENCE, Product};

/// A frame as the public client's parser gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) id: Option<u64>,
    pub(super) kind: String,
    pub(super) data: Value,
}

/// The public client's parser: lines end in LF only, a frame needs both `event` and `data`, the last
/// `data` line wins, and one without its blank line is lost.
#[derive(Default)]
pub(super) struct Parser {
    rest: Vec<u8>,
    id: Option<u64>,
    kind: String,
    data: String,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.rest.extend_from_slice(bytes);
        assert!(!self.rest.contains(&b'\r'), "it reads nothing that has one");
        let mut frames = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let rest = self.rest.split_off(end + 1);
            let line = String::from_utf8(std::mem::replace(&mut self.rest, rest)).unwrap();
            let line = line.trim_end_matches('\n');
            if let Some(kind) = line.strip_prefix("event: ") {
                self.kind = kind.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                assert!(self.data.is_empty(), "the line before would be lost");
                self.data = data.to_owned();
            } else if let Some(id) = line.strip_prefix("id: ") {
                self.id = Some(id.parse().unwrap());
            } else if line.is_empty() {
                let state = std::mem::take(self);
                self.rest = state.rest;
                if !state.kind.is_empty() && !state.data.is_empty() {
                    let data = serde_json::from_str(&state.data).unwrap();
                    frames.push(Frame { id: state.id, kind: state.kind, data });
                }
            } else {
                assert!(line.starts_with(':'), "{line:?} is not read by anybody");
            }
        }
        frames
    }
}

/// A stream under way.
pub(super) struct Running {
    pub(super) answer: Response,
    pub(super) parser: Parser,
    pub(super) seen: Vec<Frame>,
}

impl Running {
    pub(super) async fn start(
        product: &Product,
        sandbox: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Self {
        let path = format!("/v1/sandboxes/{sandbox}/runtime/agents/run/stream");
        let mut request = product.request(Method::POST, &path).json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, parser: Parser::default(), seen: Vec::new() }
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.answer.headers()[name].to_str().unwrap().to_owned()
    }

    /// `false`: the server has ended it.
    pub(super) async fn read(&mut self) -> bool {
        let chunk =
            tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("nothing came");
        let Some(chunk) = chunk.unwrap() else { return false };
        let frames = self.parser.feed(&chunk);
        // Neither of the two is an event of the log.
        let is_event = |frame: &Frame| !["heartbeat", "trace.id"].contains(&frame.kind.as_str());
        self.seen.extend(frames.into_iter().filter(is_event));
        true
    }

    pub(super) async fn read_out(mut self) -> Vec<Frame> {
        while self.read().await {}
        assert!(self.parser.rest.is_empty() && self.parser.kind.is_empty(), "a frame was cut");
        self.seen
    }
}

pub(super) fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.id.expect("an event without a number")).collect()
}

/// The frame as it stands in the log: without what only this stream adds.
pub(super) fn as_logged(frame: &Frame) -> (u64, String, Value) {
    let mut data = frame.data.clone();
    if let Some(part) = data.get_mut("part").and_then(Value::as_object_mut) {
        part.remove("content");
    }
    if let Some(metadata) = data.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("traceId");
    }
    (frame.id.unwrap(), frame.kind.clone(), data)
}
