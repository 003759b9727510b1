//! Which agents and models a turn can be run with.

use serde::{Deserialize, Serialize};

use super::Extra;

/// A protocol that models are spoken to with. Named after the last part of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WireFormat {
    /// Anthropic's `POST /v1/messages`.
    Messages,
    /// OpenAI's `POST /v1/responses`.
    Responses,
    /// OpenAI's older `POST /v1/chat/completions`, which most other hosts and local servers speak.
    ChatCompletions,
}

/// What can run a turn. `GET /v1/agents`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentCatalog {
    pub agents: Vec<AgentInfo>,
    pub models: Vec<ModelInfo>,
    /// Agent of a turn that names none.
    pub default_agent: String,
    /// Model of a turn that names none, as `provider/model`. Absent: no model is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A program that works in the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    /// `demo`, `skein`, `opencode`, `claude-code` or `codex`: the `type` of a `BackendChoice`.
    pub id: String,
    /// Name for people.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether a turn can be run with it now.
    pub available: bool,
    /// Why not, with the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Formats it can speak to a model, the preferred one first. Empty: it needs no model.
    #[serde(default)]
    pub formats: Vec<WireFormat>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A model that the orchestrator can reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// `anthropic`, `openai`, `custom`, `ollama`, `llama.cpp`.
    pub provider: String,
    /// The provider's own name of it.
    pub id: String,
    /// Formats its provider understands.
    #[serde(default)]
    pub formats: Vec<WireFormat>,
    /// How much it can read at once, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// It runs on the orchestrator's own machine.
    #[serde(default)]
    pub local: bool,
    #[serde(flatten)]
    pub extra: Extra,
}

impl AgentInfo {
    /// The format in which this agent can speak to that model; none: they can't work together.
    pub fn format_for(&self, model: &ModelInfo) -> Option<WireFormat> {
        self.formats.iter().copied().find(|format| model.formats.contains(format))
    }
}
