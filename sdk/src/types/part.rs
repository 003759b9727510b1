//! Parts: the pieces an agent's message is made of.

use serde::{Deserialize, Serialize, ser::SerializeMap};
use serde_json::Value;

use super::Extra;

/// One piece of a message. `id` names the piece for its whole life: a later part with the same `id`
/// replaces the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Unique in its session.
    #[serde(default)]
    pub id: String,
    #[serde(rename = "sessionID", default)]
    pub session_id: String,
    /// The message the part belongs to. One turn of the agent is one message.
    #[serde(rename = "messageID", default)]
    pub message_id: String,
    /// What the part holds.
    #[serde(flatten)]
    pub body: PartBody,
}

/// What a part holds, told apart by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// How long it lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// Other spellings of `callID`.
const CALL_IDS: [&str; 3] = ["callId", "toolCallId", "toolUseId"];

impl<'de> Deserialize<'de> for ToolPart {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "callID", default)]
            call_id: String,
            tool: String,
            state: Extra,
            #[serde(default)]
            metadata: Option<Value>,
            #[serde(flatten)]
            extra: Extra,
        }
        let Wire { mut call_id, tool, state: mut fields, metadata, mut extra } =
            Wire::deserialize(deserializer)?;
        if call_id.is_empty()
            && let Some(Value::String(other)) = CALL_IDS.iter().find_map(|name| extra.get(*name))
        {
            call_id.clone_from(other);
        }
        let state: ToolState = serde_json::from_value(Value::Object(fields.clone()))
            .map_err(serde::de::Error::custom)?;
        if let Ok(Value::Object(known)) = serde_json::to_value(&state) {
            fields.retain(|name, _| !known.contains_key(name));
        }
        if !fields.is_empty() {
            extra.insert("state".to_owned(), Value::Object(fields));
        }
        Ok(Self { call_id, tool, state, metadata, extra })
    }
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ToolState {
    /// The agent is still writing the input.
    Pending {
        #[serde(default)]
        input: Value,
    },
    /// The tool works.
    Running {
        #[serde(default)]
        input: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default)]
        time: TimeSpan,
    },
    /// The tool has done its work.
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
    /// The tool failed, or was cut off.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FilePart {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `image/png`, …
    #[serde(
        rename = "mediaType",
        alias = "mime",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub media_type: Option<String>,
    /// Where to get it.
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
    /// Why the step ended, in the words of the model.
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub tokens: StepTokens,
    /// US dollars.
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
