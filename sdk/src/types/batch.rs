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

/// What a batch says while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchEvent {
    /// The first event.
    Started(BatchStarted),
    TaskCompleted(TaskCompleted),
    TaskFailed(TaskFailed),
    /// The last event.
    Completed(BatchCompleted),
}

/// Data of `batch.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchStarted {
    pub batch_id: String,
    pub total_tasks: usize,
    /// The agent of all tasks.
    #[serde(default)]
    pub agent: String,
    /// What was asked for and is not done.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Data of `task.completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TaskCompleted {
    /// As the caller chose it.
    pub task_id: String,
    /// What the agent said.
    #[serde(default)]
    pub response: String,
    /// That was longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Of all kinds together.
    #[serde(default)]
    pub tokens_used: u64,
    /// From its beginning to its end, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// Where the task ran, if that sandbox stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `task.failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TaskFailed {
    /// As the caller chose it.
    pub task_id: String,
    /// Why, in words.
    #[serde(default)]
    pub error: String,
    /// `TURN_TIMEOUT`, `SANDBOX_UNAVAILABLE`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// From its beginning to its end, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// Where the task ran, if that sandbox stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `batch.completed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchCompleted {
    pub batch_id: String,
    pub total_tasks: usize,
    pub succeeded: usize,
    pub failed: usize,
}
