//! Events of an agent session, as they stand in its log.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Extra, InteractionAsked, InteractionCancelled, InteractionResolved, Part, TokenUsage,
    TurnState, fields::read_fields,
};

/// The event types this version understands. Any other type passes through.
pub mod event_type {
    /// A turn begins.
    pub const EXECUTION_STARTED: &str = "execution.started";
    /// A piece of the answer came or grew.
    pub const PART_UPDATED: &str = "message.part.updated";
    /// The agent asks a person, and waits.
    pub const INTERACTION: &str = "interaction";
    /// A person has answered.
    pub const INTERACTION_RESOLVED: &str = "interaction.resolved";
    /// A request that nobody can answer any more.
    pub const INTERACTION_CANCEL: &str = "interaction.cancel";
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
    /// The agent asks a person, and waits.
    Interaction(Box<InteractionAsked>),
    /// A person has answered.
    InteractionResolved(InteractionResolved),
    /// A request that nobody can answer any more.
    InteractionCancelled(InteractionCancelled),
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionStarted {
    /// Equal to the turn id that the product chose.
    pub execution_id: String,
    pub session_id: String,
    /// Model that the turn runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A part came or grew. With `delta`, the part's text grew by it and `part` may carry an empty text;
/// without, `part` is the whole part and replaces what was there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartUpdated {
    /// The whole part, or with a delta what it is apart from its text.
    pub part: Part,
    /// What the text grew by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Progress in words.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatusUpdate {
    /// `started`, `processing`, …
    pub status: String,
    /// In words, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Something went wrong in the turn. A `done` follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TurnError {
    /// What went wrong, for people.
    pub message: String,
    /// Stable, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// The turn's outcome. `final_text` is authoritative: it replaces whatever a viewer put together,
/// unless it is only the beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnResult {
    /// The whole answer in markdown.
    pub final_text: String,
    /// `final_text` is only the beginning of an answer that no event could hold. The turn's record has
    /// all of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Metered by the orchestrator.
    pub token_usage: TokenUsage,
    /// Which turn it was.
    pub metadata: TurnMetadata,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Which turn of which session an outcome belongs to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnMetadata {
    pub session_id: String,
    pub turn_id: String,
    #[serde(flatten)]
    pub extra: Extra,
}

/// The last event of a turn, whatever happened. Exactly one a turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnDone {
    pub turn_id: String,
    /// How it ended; never [`TurnState::Running`].
    pub outcome: TurnState,
    /// Metered by the orchestrator.
    pub token_usage: TokenUsage,
    #[serde(flatten)]
    pub extra: Extra,
}

read_fields! {
    ExecutionStarted {
        execution_id: required("executionId"),
        session_id: optional("sessionId"),
        model: optional("model");
        extra
    }
    PartUpdated {
        part: required("part"),
        delta: optional("delta");
        extra
    }
    StatusUpdate {
        status: required("status"),
        detail: optional("detail");
        extra
    }
    TurnError {
        message: required("message"),
        code: optional("code");
        extra
    }
    TurnResult {
        final_text: optional("finalText"),
        truncated: optional("truncated"),
        token_usage: optional("tokenUsage"),
        metadata: optional("metadata");
        extra
    }
    TurnMetadata {
        session_id: optional("sessionId"),
        turn_id: optional("turnId");
        extra
    }
    TurnDone {
        turn_id: optional("turnId"),
        outcome: outcome("outcome"),
        token_usage: optional("tokenUsage");
        extra
    }
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
        let data = || self.data.clone();
        let body = match self.kind.as_str() {
            event_type::EXECUTION_STARTED => {
                ExecutionStarted::from_fields(data()).map(EventBody::ExecutionStarted)
            }
            event_type::PART_UPDATED => {
                PartUpdated::from_fields(data()).map(|part| EventBody::PartUpdated(Box::new(part)))
            }
            event_type::INTERACTION => serde_json::from_value(data().into())
                .map(|asked| EventBody::Interaction(Box::new(asked))),
            event_type::INTERACTION_RESOLVED => {
                serde_json::from_value(data().into()).map(EventBody::InteractionResolved)
            }
            event_type::INTERACTION_CANCEL => {
                serde_json::from_value(data().into()).map(EventBody::InteractionCancelled)
            }
            event_type::STATUS => StatusUpdate::from_fields(data()).map(EventBody::Status),
            event_type::ERROR => TurnError::from_fields(data()).map(EventBody::Error),
            event_type::RESULT => TurnResult::from_fields(data()).map(EventBody::Result),
            event_type::DONE => TurnDone::from_fields(data()).map(EventBody::Done),
            _ => return EventBody::Other,
        };
        body.unwrap_or(EventBody::Other)
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
