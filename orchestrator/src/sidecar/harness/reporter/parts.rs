//! The parts that an agent's message is made of.

use sandbox_sdk::types::{PartBody, ReasoningPart, TextPart, TimeSpan, ToolPart, ToolState};
use serde_json::Value;

use crate::clock::now_ms;

/// Characters of one text that go into an event; a person can read no more there.
const SHOWN: usize = 16_000;

/// What a person reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Prose {
    Text,
    Reasoning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Prose(Prose),
    Tool,
}

impl Kind {
    pub(super) fn is_tool(self) -> bool {
        self == Self::Tool
    }
}

/// How far a tool call has come.
#[derive(Clone, Debug)]
pub(in super::super) enum ToolStep {
    /// The model is still writing the input.
    Pending,
    Running {
        input: Value,
    },
    Completed {
        output: Value,
    },
    Failed {
        error: String,
        output: Value,
    },
}

/// A part as it stands.
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) start: i64,
    /// Prose: something was said.
    pub(super) said: bool,
    /// Nothing more will change.
    pub(super) settled: bool,
    tool: String,
    input: Value,
    running: bool,
}

impl Slot {
    pub(super) fn new(kind: Kind, id: String) -> Self {
        Self {
            kind,
            id,
            start: now_ms(),
            said: false,
            settled: false,
            tool: String::new(),
            input: Value::Null,
            running: false,
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.kind.is_tool() && !self.running && !self.settled
    }

    pub(super) fn is_running(&self) -> bool {
        self.kind.is_tool() && self.running && !self.settled
    }

    /// Another call takes its place.
    pub(super) fn forget_tool(&mut self) {
        self.tool.clear();
    }

    /// Takes a step and gives what the tool call is now, if that is news.
    pub(super) fn take(&mut self, key: &str, name: &str, step: ToolStep) -> Option<PartBody> {
        if self.settled {
            return None;
        }
        if self.tool.is_empty() {
            self.tool = if name.is_empty() { "tool".to_owned() } else { name.to_lowercase() };
        }
        let mut time = TimeSpan { start: self.start, end: None };
        let state = match step {
            ToolStep::Pending if self.running => return None,
            ToolStep::Pending => ToolState::Pending { input: Value::Object(Default::default()) },
            ToolStep::Running { input } => {
                let input = clip_all(input);
                if self.running && self.input == input {
                    return None;
                }
                if !self.running {
                    self.start = now_ms();
                    time.start = self.start;
                }
                self.running = true;
                self.input = input.clone();
                ToolState::Running { input, title: self.title(), time }
            }
            ToolStep::Completed { output } => {
                self.settled = true;
                time.end = Some(now_ms());
                let (input, output) = (self.input.clone(), clip_all(output));
                ToolState::Completed { input, output, title: self.title(), time }
            }
            ToolStep::Failed { error, output } => {
                self.settled = true;
                time.end = Some(now_ms());
                let (error, output) = (Some(clip(&error)), clip_all(output));
                ToolState::Error { input: self.input.clone(), error, output, time }
            }
        };
        Some(PartBody::Tool(ToolPart {
            call_id: key.to_owned(),
            tool: self.tool.clone(),
            state,
            metadata: None,
            extra: Default::default(),
        }))
    }

    /// The first line of what a tool works on.
    fn title(&self) -> Option<String> {
        const FIELDS: [&str; 8] =
            ["command", "file_path", "filePath", "path", "pattern", "query", "url", "description"];
        let field = FIELDS.iter().find_map(|name| self.input.get(name)?.as_str())?;
        let line = field.trim().lines().next()?;
        Some(line.chars().take(200).collect())
    }
}

pub(super) fn prose(kind: Prose, text: String, start: i64, end: Option<i64>) -> PartBody {
    match kind {
        Prose::Text => PartBody::Text(TextPart { text, extra: Default::default() }),
        Prose::Reasoning => {
            let time = Some(TimeSpan { start, end });
            PartBody::Reasoning(ReasoningPart { text, time, extra: Default::default() })
        }
    }
}

/// The beginning and the end of a long text.
pub(super) fn clip(text: &str) -> String {
    // Bytes are no fewer than characters, and quicker to count.
    let length = if text.len() <= SHOWN { 0 } else { text.chars().count() };
    if length <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN * 3 / 4).collect();
    let tail: String = text.chars().skip(length - SHOWN / 4).collect();
    format!("{head}\n… {} characters left out …\n{tail}", length - SHOWN)
}

/// The same with all strings that a value is made of.
fn clip_all(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clip(&text)),
        Value::Array(items) => items.into_iter().map(clip_all).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, clip_all(value))).collect()
        }
        other => other,
    }
}
