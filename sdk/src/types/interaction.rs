//! What an agent asks a person in the middle of a turn: questions, permissions, plans.
//!
//! An agent that asked waits. The request stands in the session's log as the event `interaction`; its
//! end as `interaction.resolved` when a person answered, as `interaction.cancel` when nobody can any
//! more. In a message the request and its end are one part, [`InteractionPart`].

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

mod check;
mod events;
mod read;

use super::Extra;

pub use check::InvalidAnswer;
pub use events::{InteractionAsked, InteractionCancelled, InteractionResolved};

/// Fields and values of a permission's answer.
pub mod grant {
    /// The field that says what is permitted; a select of the words below.
    pub const FIELD: &str = "grant";
    /// This once.
    pub const ALLOW_ONCE: &str = "allow_once";
    /// This and everything like it, until the session ends.
    pub const ALLOW_SESSION: &str = "allow_session";
    /// Not at all. The agent is told, and goes on without.
    pub const DENY: &str = "deny";
    /// Words for the agent, in the answer to a permission or a plan.
    pub const FEEDBACK: &str = "feedback";
}

/// Why an interaction was cancelled: the words that this version knows.
pub mod cancel_reason {
    /// Nobody answered in time.
    pub const EXPIRED: &str = "expired";
    /// The person stopped the turn.
    pub const ABORTED: &str = "aborted";
    /// The agent took its request back.
    pub const WITHDRAWN: &str = "withdrawn";
    /// The answer to another request allows this too.
    pub const GRANTED: &str = "granted";
    /// The turn ended.
    pub const TURN_ENDED: &str = "turn_ended";
}

/// Something that only a person can say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InteractionRequest {
    /// Unique in its session; also the id of its part.
    pub id: String,
    pub kind: InteractionKind,
    /// What is asked, in a line.
    pub title: String,
    /// All of it, in markdown: the plan, what lies behind a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What a permission is about: the command, the file, the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What an answer is made of.
    pub answer_spec: AnswerSpec,
    /// What an answer may come to.
    pub allowed_outcomes: Vec<Outcome>,
    /// The agent waits no longer than this, from when it asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What an agent wants of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum InteractionKind {
    /// To know something.
    #[default]
    Question,
    /// To be allowed something.
    Permission,
    /// To have its plan approved.
    Plan,
    /// A kind this version does not know, passed through unchanged. Its fields say how to answer.
    Other(String),
}

impl InteractionKind {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Question => "question",
            Self::Permission => "permission",
            Self::Plan => "plan",
            Self::Other(kind) => kind,
        }
    }
}

impl Serialize for InteractionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What an answer is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnswerSpec {
    /// In the order in which they are asked.
    pub fields: Vec<AnswerField>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// One thing to be filled in. On the wire the kind's own fields stand beside `key`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerField {
    /// Names the field in the answer: `[A-Za-z0-9_-]+`.
    pub key: String,
    /// What is asked here. A request with one field may ask by its title alone.
    pub label: Option<String>,
    pub kind: AnswerKind,
    /// Without it there is no positive answer.
    pub required: bool,
    pub extra: Extra,
}

/// What a field takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// A string.
    #[default]
    Text,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// The value of an option, or a list of them.
    Select {
        options: Vec<AnswerOption>,
        /// Any number of options, as a list.
        multi: bool,
        /// Own words are as good as an option.
        allow_custom: bool,
    },
    /// A string that is given to the agent and kept nowhere.
    Secret,
    /// A kind this version does not know; its fields are in the field's `extra`.
    Other(String),
}

impl AnswerKind {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Select { .. } => "select",
            Self::Secret => "secret",
            Self::Other(kind) => kind,
        }
    }
}

impl Serialize for AnswerField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", &self.key)?;
        if let Some(label) = &self.label {
            map.serialize_entry("label", label)?;
        }
        map.serialize_entry("kind", self.kind.as_str())?;
        if let AnswerKind::Select { options, multi, allow_custom } = &self.kind {
            map.serialize_entry("options", options)?;
            map.serialize_entry("multi", multi)?;
            map.serialize_entry("allowCustom", allow_custom)?;
        }
        map.serialize_entry("required", &self.required)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// One of the answers to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnswerOption {
    /// What the answer holds.
    pub value: String,
    /// What people read.
    pub label: String,
    /// In more words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Here is the answer; yes.
    Accepted,
    /// No. The agent is told, with whatever words came.
    Declined,
    /// Neither: the person does not want to be asked this.
    Cancelled,
}

/// A person's answer. Body of `POST …/agents/sessions/{session}/interactions`.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InteractionAnswer {
    /// Which request it answers.
    pub id: String,
    pub outcome: Outcome,
    /// By the keys of the request's fields.
    #[serde(skip_serializing_if = "Extra::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub data: Extra,
}

/// Without the data: it may hold a secret.
impl std::fmt::Debug for InteractionAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InteractionAnswer")
            .field("id", &self.id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// A request as it stands in a message, and what became of it. The part's id is the request's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InteractionPart {
    pub request: InteractionRequest,
    pub status: InteractionStatus,
    /// What was answered, without its secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Extra>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where an interaction stands. All but `Pending` are final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InteractionStatus {
    /// The agent waits.
    #[default]
    Pending,
    /// Answered; permitted; approved.
    Accepted,
    /// Refused.
    Declined,
    /// Taken back, or the turn ended.
    Cancelled,
    /// Nobody answered in time.
    Expired,
}

impl InteractionStatus {
    /// Whether nobody can answer any more.
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }
}

impl InteractionPart {
    /// A request that waits for its answer.
    pub fn pending(request: InteractionRequest) -> Self {
        Self { request, status: InteractionStatus::Pending, answer: None, extra: Extra::new() }
    }
}

impl InteractionRequest {
    /// What of an answer may be kept and shown: all but the values of secret fields, and of fields
    /// that nobody knows.
    pub fn without_secrets(&self, data: &Extra) -> Extra {
        let shown = |(key, _): &(&String, &Value)| {
            self.answer_spec.fields.iter().any(|field| {
                field.key == **key
                    && !matches!(field.kind, AnswerKind::Secret | AnswerKind::Other(_))
            })
        };
        data.iter().filter(shown).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
