//! What came of an execution, which is a turn by another name.

use serde::{Deserialize, Serialize};

use super::{Extra, Part, TokenUsage, TurnError, TurnState};

/// Answer of `GET …/agents/sessions/{session}/result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExecutionResult {
    /// It is completed.
    pub success: bool,
    pub session_id: String,
    /// The turn's id.
    pub execution_id: String,
    pub state: TurnState,
    /// The whole answer in markdown.
    #[serde(default)]
    pub final_text: String,
    /// The whole message. Empty while it runs.
    #[serde(default)]
    pub parts: Vec<Part>,
    #[serde(default)]
    pub token_usage: TokenUsage,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TurnError>,
    #[serde(default)]
    pub timing: ExecutionTiming,
    #[serde(flatten)]
    pub extra: Extra,
}

/// When an execution ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExecutionTiming {
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub started_at: i64,
    /// Milliseconds since the Unix epoch; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Milliseconds; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
}
