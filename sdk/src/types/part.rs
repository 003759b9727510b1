//! Parts: the pieces an agent's message is made of.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;

/// One piece of a message. `id` names the piece for its whole life: a later part with the same `id`
/// replaces the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    #[serde(default)]
    pub id: String,
    #[serde(rename = "sessionID", default)]
    pub session_id: String,
    /// The message the part belongs to. One turn of the agent is one message.
    #[serde(rename = "messageID", default)]
    pub message_id: String,
    #[serde(flatten)]
    pub body: PartBody,
}

/// What a part holds, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum PartBody {
    Text(TextPart),
    Reasoning(ReasoningPart),
    Tool(ToolPart),
    File(FilePart),
    StepStart(StepStartPart),
    StepFinish(StepFinishPart),
    /// A part type this version does not know, as it came.
    #[serde(untagged)]
    Other(Extra),
}

/// Prose of the answer, in markdown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextPart {
    #[serde(default)]
    pub text: String,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the agent thought before it spoke or acted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReasoningPart {
    #[serde(default)]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeSpan>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A tool call and, once it has ended, what it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolPart {
    #[serde(rename = "callID", default, skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// Name of the tool, as the agent calls it: `bash`, `read`, `write`, `edit`, …
    pub tool: String,
    pub state: ToolState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where a tool call stands. It only moves forward: a settled call never runs again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ToolState {
    Pending {
        #[serde(default)]
        input: Value,
    },
    Running {
        #[serde(default)]
        input: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default)]
        time: TimeSpan,
    },
    Completed {
        #[serde(default)]
        input: Value,
        /// What the tool gave: text, or an object such as `{stdout, stderr, exitCode}`.
        #[serde(default)]
        output: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default)]
        time: TimeSpan,
    },
    #[serde(alias = "failed")]
    Error {
        #[serde(default)]
        input: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        output: Value,
        #[serde(default)]
        time: TimeSpan,
    },
}

impl ToolState {
    /// Whether the call has ended, well or badly.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Error { .. })
    }

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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FilePart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(
        rename = "mediaType",
        alias = "mime",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// The agent begins one step: one call of its model and the tools that follow from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepStartPart {
    #[serde(flatten)]
    pub extra: Extra,
}

/// The agent ends a step. The figures are the agent's own report: shown, never billed from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepFinishPart {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub tokens: StepTokens,
    #[serde(default)]
    pub cost: f64,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Tokens of one step, as the agent reports them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepTokens {
    #[serde(default)]
    pub input: u64,
    #[serde(default)]
    pub output: u64,
    #[serde(default)]
    pub reasoning: u64,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Start and end in milliseconds since the Unix epoch; no end while it lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpan {
    #[serde(default)]
    pub start: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
}

impl TimeSpan {
    /// Length in milliseconds, once it has ended.
    pub fn millis(self) -> Option<i64> {
        self.end.map(|end| (end - self.start).max(0))
    }
}
