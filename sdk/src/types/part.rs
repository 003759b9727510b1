//! Parts: the pieces an agent's message is made of.

use serde::{Serialize, ser::SerializeMap};
use serde_json::Value;

mod read;

use super::{Extra, InteractionPart};

/// One piece of a message. `id` names the piece for its whole life: a later part with the same `id`
/// replaces the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Unique in its session.
    pub id: String,
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// The message the part belongs to. One turn of the agent is one message.
    #[serde(rename = "messageID")]
    pub message_id: String,
    /// What the part holds.
    #[serde(flatten)]
    pub body: PartBody,
}

/// What a part holds, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum PartBody {
    /// Prose of the answer.
    Text(TextPart),
    /// A thought before it.
    Reasoning(ReasoningPart),
    /// A tool call.
    Tool(ToolPart),
    /// A file that the agent hands over.
    File(FilePart),
    /// A step begins.
    StepStart(StepStartPart),
    /// A step ends.
    StepFinish(StepFinishPart),
    /// What the agent asked a person, and what became of it.
    Interaction(Box<InteractionPart>),
    /// A part type this version does not know, as it came.
    #[serde(untagged)]
    Other(Extra),
}

/// Prose of the answer, in markdown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TextPart {
    pub text: String,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the agent thought before it spoke or acted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReasoningPart {
    pub text: String,
    /// How long it lasted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeSpan>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A tool call and, once it has ended, what it gave.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolPart {
    /// Names the call for the agent; `callID` on the wire, other spellings are read too.
    pub call_id: String,
    /// Name of the tool, as the agent calls it: `bash`, `read`, `write`, `edit`, …
    pub tool: String,
    /// Where the call stands.
    pub state: ToolState,
    /// What the agent adds, by tool.
    pub metadata: Option<Value>,
    /// Fields not named here. Those of `state` stand under the key `state`.
    pub extra: Extra,
}

impl Serialize for ToolPart {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serde_json::to_value(&self.state).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.extra {
            match (name.as_str(), value, &mut state) {
                ("state", Value::Object(more), Value::Object(fields)) => {
                    for (name, value) in more {
                        fields.entry(name.as_str()).or_insert_with(|| value.clone());
                    }
                }
                _ => map.serialize_entry(name, value)?,
            }
        }
        if !self.call_id.is_empty() {
            map.serialize_entry("callID", &self.call_id)?;
        }
        map.serialize_entry("tool", &self.tool)?;
        map.serialize_entry("state", &state)?;
        if let Some(metadata) = &self.metadata {
            map.serialize_entry("metadata", metadata)?;
        }
        map.end()
    }
}

/// Where a tool call stands. It only moves forward: a settled call never runs again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ToolState {
    /// The agent is still writing the input.
    Pending { input: Value },
    /// The tool works.
    Running {
        input: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        time: TimeSpan,
    },
    /// The tool has done its work.
    Completed {
        input: Value,
        /// What the tool gave: text, or an object such as `{stdout, stderr, exitCode}`.
        output: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        time: TimeSpan,
    },
    /// The tool failed, or was cut off.
    Error {
        input: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Value::is_null")]
        output: Value,
        time: TimeSpan,
    },
}

impl ToolState {
    /// Whether the call has ended, well or badly.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Error { .. })
    }

    /// What the tool was given.
    pub fn input(&self) -> &Value {
        match self {
            Self::Pending { input }
            | Self::Running { input, .. }
            | Self::Completed { input, .. }
            | Self::Error { input, .. } => input,
        }
    }
}

/// A file the agent hands over.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FilePart {
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `image/png`, …
    #[serde(rename = "mediaType", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// The agent begins one step: one call of its model and the tools that follow from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepStartPart {
    #[serde(flatten)]
    pub extra: Extra,
}

/// The agent ends a step. The figures are the agent's own report: shown, never billed from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepFinishPart {
    /// Why the step ended, in the words of the model.
    pub reason: String,
    pub tokens: StepTokens,
    /// US dollars.
    pub cost: f64,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Tokens of one step, as the agent reports them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepTokens {
    pub input: u64,
    pub output: u64,
    pub reasoning: u64,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Start and end in milliseconds since the Unix epoch; no end while it lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeSpan {
    pub start: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
}

impl TimeSpan {
    /// Length in milliseconds, once it has ended.
    pub fn millis(self) -> Option<i64> {
        self.end.map(|end| (end - self.start).max(0))
    }
}
