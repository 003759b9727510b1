//! Events of an agent session, as they stand in its log.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Extra, Part, TokenUsage, TurnState};

/// The event types this version understands. Any other type passes through.
pub mod event_type {
    /// A turn begins.
    pub const EXECUTION_STARTED: &str = "execution.started";
    /// A piece of the answer came or grew.
    pub const PART_UPDATED: &str = "message.part.updated";
    /// Progress in words.
    pub const STATUS: &str = "status";
    /// Something to know that stops nothing.
    pub const WARNING: &str = "warning";
    /// Something went wrong; `done` follows.
    pub const ERROR: &str = "error";
    /// The outcome, before `done`.
    pub const RESULT: &str = "result";
    /// The turn has ended.
    pub const DONE: &str = "done";
}

/// One event: a type and its data, both kept as they came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// `type` on the wire; see [`event_type`].
    #[serde(rename = "type")]
    pub kind: String,
    /// What the event says, as it came.
    pub data: Map<String, Value>,
}

/// An event whose type is known, decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum EventBody {
    /// A turn begins.
    ExecutionStarted(ExecutionStarted),
    /// A piece of the answer came or grew.
    PartUpdated(Box<PartUpdated>),
    /// Progress in words.
    Status(StatusUpdate),
    /// Something went wrong.
    Error(TurnError),
    /// The turn's outcome.
    Result(TurnResult),
    /// The turn has ended.
    Done(TurnDone),
    /// Unknown type, or known type with data that does not fit: nothing to act on.
    Other,
}

/// A turn begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionStarted {
    /// Equal to the turn id that the product chose.
    pub execution_id: String,
    #[serde(default)]
    pub session_id: String,
    /// Model that the turn runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A part came or grew. With `delta`, the part's text grew by it and `part` may carry an empty text;
/// without, `part` is the whole part and replaces what was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartUpdated {
    /// The whole part, or with a delta what it is apart from its text.
    pub part: Part,
    /// What the text grew by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Progress in words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// `started`, `processing`, …
    pub status: String,
    /// In words, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Something went wrong in the turn. A `done` follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnError {
    /// What went wrong, for people.
    pub message: String,
    /// Stable, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// The turn's outcome. `final_text` is authoritative: it replaces whatever a viewer put together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnResult {
    /// The whole answer in markdown.
    #[serde(default)]
    pub final_text: String,
    /// Metered by the orchestrator.
    #[serde(default)]
    pub token_usage: TokenUsage,
    /// Which turn it was.
    #[serde(default)]
    pub metadata: TurnMetadata,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Which turn of which session an outcome belongs to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnMetadata {
    #[serde(default)]
    pub session_id: String,
    #[serde(default)]
    pub turn_id: String,
    #[serde(flatten)]
    pub extra: Extra,
}

/// The last event of a turn, whatever happened. Exactly one a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnDone {
    #[serde(default)]
    pub turn_id: String,
    /// How it ended; never [`TurnState::Running`].
    #[serde(default = "completed", deserialize_with = "outcome")]
    pub outcome: TurnState,
    /// Metered by the orchestrator.
    #[serde(default)]
    pub token_usage: TokenUsage,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A `done` without an outcome says that nothing went wrong.
fn completed() -> TurnState {
    TurnState::Completed
}

/// Reads an outcome in a word or in an object. A word that nobody knows is not a success.
fn outcome<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<TurnState, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let word = value.as_str().or_else(|| {
        ["type", "status"].into_iter().find_map(|key| value.get(key).and_then(Value::as_str))
    });
    Ok(match word {
        Some("completed" | "complete" | "success") => TurnState::Completed,
        Some("aborted" | "cancelled" | "canceled") => TurnState::Aborted,
        Some("interrupted") => TurnState::Interrupted,
        _ => TurnState::Failed,
    })
}

impl Event {
    /// Builds an event from a typed body that serialises to a JSON object.
    ///
    /// # Errors
    /// When the body does not serialise to an object.
    pub fn new(kind: &str, body: &impl Serialize) -> serde_json::Result<Self> {
        match serde_json::to_value(body)? {
            Value::Object(data) => Ok(Self { kind: kind.to_owned(), data }),
            _ => Err(serde::ser::Error::custom("event data must be an object")),
        }
    }

    /// Decodes the data by the type.
    pub fn body(&self) -> EventBody {
        fn data<T: DeserializeOwned>(event: &Event, wrap: fn(T) -> EventBody) -> EventBody {
            serde_json::from_value(Value::Object(event.data.clone())).map_or(EventBody::Other, wrap)
        }
        match self.kind.as_str() {
            event_type::EXECUTION_STARTED => data(self, EventBody::ExecutionStarted),
            event_type::PART_UPDATED => data(self, |part| EventBody::PartUpdated(Box::new(part))),
            event_type::STATUS => data(self, EventBody::Status),
            event_type::ERROR => data(self, EventBody::Error),
            event_type::RESULT => data(self, EventBody::Result),
            event_type::DONE => data(self, EventBody::Done),
            _ => EventBody::Other,
        }
    }
}

/// Reads every spelling that real producers use: `{type, data}`, `{type, properties}`, and the data's
/// fields beside `type`. A terminal frame without a type is known by its `outcome`.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let kind = match fields.remove("type") {
            Some(Value::String(kind)) => kind,
            None if fields.contains_key("outcome") => event_type::DONE.to_owned(),
            _ => return Err(serde::de::Error::missing_field("type")),
        };
        for key in ["data", "properties"] {
            if let Some(Value::Object(_)) = fields.get(key)
                && let Some(Value::Object(data)) = fields.remove(key)
            {
                return Ok(Self { kind, data });
            }
        }
        Ok(Self { kind, data: fields })
    }
}
