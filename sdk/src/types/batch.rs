//! Batches: many tasks, each in a sandbox of its own.

use serde::{Deserialize, Serialize};

use super::{BackendChoice, Extra};

/// Body of `POST /batch/run`. The answer is a stream of events: `task.completed` or `task.failed`
/// for each task, in the order in which they end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchRun {
    pub tasks: Vec<BatchTask>,
    /// Agent and model of all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendChoice>,
    /// Longest time of a task that names none, in milliseconds, from its beginning to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub scaling_mode: ScalingMode,
    /// The sandboxes stay when their tasks have ended.
    #[serde(default)]
    pub persistent: bool,
    #[serde(flatten)]
    pub extra: Extra,
}

/// One task of a batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchTask {
    /// Chosen by the caller; names the task in the events.
    pub id: String,
    /// What the agent is told.
    pub message: String,
    /// Told beside the message, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<serde_json::Value>,
    /// Longest time of this task, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// How many tasks run at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ScalingMode {
    /// As many as the service can bear.
    #[default]
    Fastest,
    /// Half of them.
    Balanced,
    /// One after the other.
    Cheapest,
}
