//! Agent sessions and turns: what a product asks for and what the orchestrator answers.

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use super::{Extra, MeteredRequest, Part, TokenUsage, fields::optional};

/// Body of `PUT /v1/session/{session}/mapping`: whose the session is and where it runs.
/// It must be registered before a viewer connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionMapping {
    /// The only user whose tokens open the session.
    pub user_id: String,
    /// Where the session runs.
    pub sandbox_id: String,
    /// The session's name inside the sandbox, when it differs: the turns go by that name, and viewers
    /// of the session see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<String>,
}

/// Body of `POST …/agents/sessions/{session}/messages`: starts a turn in the background.
/// The same `turn_id` again is a look-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Dispatch {
    /// 1 to 160 characters of `[A-Za-z0-9:_-]`.
    pub turn_id: String,
    /// What the person says.
    pub parts: Vec<InputPart>,
    /// Absent: the orchestrator's default agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendChoice>,
    /// What the turn may use at most.
    #[serde(default)]
    pub limits: TurnLimits,
    /// `interactions`, an object of kinds and booleans, switches off what no person is asked in this
    /// turn. The receipt's `warnings` name what else stands here.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A piece of what the person sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum InputPart {
    /// Prose.
    Text { text: String },
    /// Of type `file` or `image`: `filename`, `mediaType`, and either `url`, a `data:` or `file:` URL,
    /// or `path` in the sandbox. Of any other type: as it came.
    #[serde(untagged)]
    Other(Extra),
}

/// Which agent runs the turn, on which model. Reads the model flat as well: `model` as a name, and
/// `provider`, `apiKey`, `baseUrl`, `mode` beside it. A `model` that a profile names is read as if it
/// stood here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackendChoice {
    /// `demo`, `opencode`, `claude-code`, `codex`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default, schema_with = "super::schema::model"))]
    pub model: Option<ModelChoice>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Fields of a model that may stand beside it.
const BESIDE_MODEL: [&str; 4] = ["provider", "apiKey", "baseUrl", "mode"];
/// Fields that may hold a profile.
const PROFILES: [&str; 2] = ["profile", "inlineProfile"];

impl BackendChoice {
    fn from_fields(mut fields: Extra) -> serde_json::Result<Self> {
        let mut beside = Extra::new();
        for name in BESIDE_MODEL {
            if let Some(value) = fields.remove(name).filter(|value| !value.is_null()) {
                beside.insert(name.to_owned(), value);
            }
        }
        let model = match fields.remove("model") {
            Some(Value::Object(model)) => {
                // What stands in the model itself counts.
                beside.extend(model);
                Some(Value::Object(beside))
            }
            Some(Value::String(name)) => {
                beside.insert("model".to_owned(), name.into());
                Some(Value::Object(beside))
            }
            None | Some(Value::Null) => {
                (!beside.is_empty()).then(|| Value::Object(std::mem::take(&mut beside)))
            }
            other => other,
        };
        // The parser's own words may quote a key.
        let mut model: Option<ModelChoice> =
            model.map(serde_json::from_value).transpose().map_err(|_| {
                serde_json::Error::custom(
                    "model must be a name, or an object whose provider, model, apiKey and baseUrl \
                     are texts",
                )
            })?;
        for profile in PROFILES {
            if let Some(name) = named_in(&mut fields, profile) {
                model = Some(model.unwrap_or_default().called(name)?);
            }
        }
        let kind = optional(&mut fields, "type")
            .map_err(|_| serde_json::Error::custom("type must be a text"))?;
        Ok(Self { kind, model, extra: fields })
    }
}

/// Takes the name of the model out of a profile. Anything else in its place stays there.
fn named_in(fields: &mut Extra, profile: &str) -> Option<String> {
    let profile = fields.get_mut(profile)?.as_object_mut()?;
    let name = profile.get("model")?.as_str()?.to_owned();
    profile.remove("model");
    Some(name).filter(|name| !name.is_empty())
}

impl<'de> Deserialize<'de> for BackendChoice {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::from_fields(Extra::deserialize(source)?).map_err(D::Error::custom)
    }
}

/// A model, and who serves it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelChoice {
    /// `anthropic`, `openai`, `custom`, `ollama`, `llama.cpp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's own name of the model, or `provider/model` when no provider is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The caller's own key instead of the orchestrator's. It goes to the provider only: it enters
    /// no sandbox, no log and no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Where the caller's own provider is: `https` at a public address, or `http` on the
    /// orchestrator's own machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl ModelChoice {
    /// The same by a name that stands elsewhere, with its provider before it or without. It must not
    /// be another one's.
    fn called(mut self, name: String) -> serde_json::Result<Self> {
        let plain =
            self.provider.as_ref().and_then(|provider| name.strip_prefix(provider.as_str()));
        let plain = plain.and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
        match &self.model {
            None => self.model = Some(plain.unwrap_or(name)),
            Some(own) if *own == name || plain.as_ref() == Some(own) => {}
            Some(_) => {
                let words = "model and the model that the profile names are not the same";
                return Err(serde_json::Error::custom(words));
            }
        }
        Ok(self)
    }
}

/// Without what may be secret: the key, and whatever else came.
impl std::fmt::Debug for ModelChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelChoice")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("has_base_url", &self.base_url.is_some())
            .finish_non_exhaustive()
    }
}

/// What a turn may use at most. The orchestrator ends the turn there. Absent: the orchestrator's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnLimits {
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Time from the start of the turn, without that in which a person was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
    /// Price of what it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<CostLimit>,
}

/// The most that a turn's tokens may cost, at prices that stay the same for the whole turn. The unit
/// of money is the product's own; prices are per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CostLimit {
    pub amount: u64,
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

/// Answer to a dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DispatchReceipt {
    pub session_id: String,
    pub turn_id: String,
    /// The turn was known already; nothing was started.
    pub already_existed: bool,
    /// Where the turn stands.
    pub state: TurnState,
    /// Sequence number after which the turn's events begin.
    #[serde(default)]
    pub since: u64,
    /// The turn runs.
    #[serde(default)]
    pub processing: bool,
    /// What of the request makes no difference, in words for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where a turn stands. All but `Running` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TurnState {
    /// Still at work.
    Running,
    /// Ended well.
    Completed,
    /// Ended by an error.
    Failed,
    /// Stopped on request; what it said until then stands.
    #[serde(alias = "cancelled")]
    Aborted,
    /// Cut off from outside, for example by a restart of the orchestrator.
    Interrupted,
}

impl TurnState {
    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        self != Self::Running
    }
}

/// The orchestrator's own record of a turn: what billing and history are taken from.
/// `GET …/agents/sessions/{session}/turns/{turn}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnRecord {
    pub session_id: String,
    pub turn_id: String,
    /// Where the turn stands.
    pub state: TurnState,
    /// The whole answer in markdown.
    #[serde(default)]
    pub final_text: String,
    /// The whole message, all deltas joined. Empty while the turn runs.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Metered by the orchestrator, never the agent's own report.
    #[serde(default)]
    pub token_usage: TokenUsage,
    /// The requests to a model that this is the sum of, in the order in which they went out. Empty
    /// without a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<MeteredRequest>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<super::TurnError>,
    /// Model that served the turn.
    #[serde(default)]
    pub model: String,
    /// Events of the turn are those with `first_seq <= seq <= last_seq`.
    #[serde(default)]
    pub first_seq: u64,
    #[serde(default)]
    pub last_seq: u64,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub started_at: i64,
    /// Milliseconds since the Unix epoch; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where an agent session stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    pub session_id: String,
    /// `running` or `idle`.
    pub state: String,
    /// The turn that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_execution_id: Option<String>,
    /// Requests to a person that are not answered yet. With one the session is not at its end,
    /// whatever `state` says. Reads a list as well.
    #[serde(default, deserialize_with = "count", skip_serializing_if = "is_zero")]
    pub outstanding_interactions: usize,
    #[serde(default)]
    pub last_seq: u64,
    /// Names the life of the log; sequence numbers mean nothing in another one.
    #[serde(default)]
    pub epoch: String,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A number, or as many as a list holds.
fn count<'de, D: Deserializer<'de>>(source: D) -> Result<usize, D::Error> {
    Ok(match Value::deserialize(source)? {
        Value::Array(items) => items.len(),
        number => number.as_u64().map_or(0, |number| usize::try_from(number).unwrap_or(usize::MAX)),
    })
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Body of `POST …/agents/sessions/{session}/abort`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// Only this turn; absent: whatever runs.
    #[serde(alias = "executionId", default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
}

/// Answer to an abort. Nothing to cancel is no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Aborted {
    /// A turn was stopped.
    pub cancelled: bool,
    /// Why nothing was.
    #[serde(alias = "noopReason", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
