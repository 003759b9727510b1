//! Sandboxes: their life cycle, commands and files.

mod create;
mod git;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub use create::{CreateProject, CreateSandbox, ProjectContainer, Resources, UpdateSandbox};
pub use git::{GitAuth, GitSource};

use super::{
    Extra, FileMode,
    fields::{optional, required},
};

/// Where a sandbox stands. Reads the words of both vocabularies: the sandbox API's, and those of
/// orchestrator projects (`ready` and `degraded` are running, `suspended` is stopped).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SandboxStatus {
    /// Accepted, not begun.
    Pending,
    /// Being made.
    Provisioning,
    /// Ready for commands.
    Running,
    /// Not running; its workspace is kept.
    Stopped,
    /// Could not be made, or broke.
    Failed,
    /// Its time was up.
    Expired,
    /// Gone with its workspace.
    Deleted,
    /// A status this version does not know, passed through unchanged.
    Other(String),
}

impl SandboxStatus {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Other(status) => status,
        }
    }
}

impl SandboxStatus {
    /// Whether the sandbox will never run again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Deleted)
    }
}

impl From<&str> for SandboxStatus {
    fn from(status: &str) -> Self {
        match status {
            "pending" => Self::Pending,
            "provisioning" => Self::Provisioning,
            "ready" | "running" | "degraded" => Self::Running,
            "suspended" | "stopped" => Self::Stopped,
            "failed" => Self::Failed,
            "expired" => Self::Expired,
            "deleted" => Self::Deleted,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for SandboxStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

impl Serialize for SandboxStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A sandbox as `/v1/sandboxes` answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    /// `sandbox-` and 12 hexadecimal digits.
    pub id: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub status: SandboxStatus,
    /// Only while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Whatever the product wants to keep with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    /// ISO 8601, like every date of this API.
    #[serde(default)]
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity_at: Option<String>,
    /// When its time is up, if it was given one and has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// How to reach the sidecar of a running sandbox.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Base of the sidecar's paths. Newer services call it `runtimeUrl`, or send both.
    pub sidecar_url: String,
    /// Opens this one sandbox; a secret.
    pub auth_token: String,
    /// ISO 8601. Absent: nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token_expires_at: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut fields = Extra::deserialize(source)?;
        let name = if fields.contains_key("sidecarUrl") { "sidecarUrl" } else { "runtimeUrl" };
        let mut read = || {
            Ok(Self {
                sidecar_url: required(&mut fields, name)?,
                auth_token: required(&mut fields, "authToken")?,
                auth_token_expires_at: optional(&mut fields, "authTokenExpiresAt")?,
                extra: std::mem::take(&mut fields),
            })
        };
        read().map_err(|error: serde_json::Error| D::Error::custom(error))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("sidecar_url", &self.sidecar_url).finish_non_exhaustive()
    }
}

/// A project as the orchestrator's `/projects` answers it, enveloped in `{project}` or flat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// The sandbox's id.
    #[serde(alias = "id")]
    pub project_ref: String,
    pub status: SandboxStatus,
    /// Only while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Body of `POST …/terminals/commands`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exec {
    /// Given to the sandbox's shell.
    pub command: String,
    /// Absolute, or relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Added to the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Milliseconds; the whole process tree ends with it.
    #[serde(alias = "timeoutMs", default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// What a command gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExecResult {
    /// 124 after a time-out, 128 + n after signal n.
    pub exit_code: i32,
    /// What the command wrote; not UTF-8 is replaced.
    #[serde(default)]
    pub stdout: String,
    /// What it wrote beside.
    #[serde(default)]
    pub stderr: String,
    /// Milliseconds.
    #[serde(default)]
    pub duration: u64,
    /// Output beyond the limit was dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Ended by its time-out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
}

/// Body of `POST …/files/read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadFile {
    /// Absolute inside the sandbox, or relative to the workspace.
    pub path: String,
    /// `utf8` (default) or `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// Body of `POST …/files/write`. Missing folders are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WriteFile {
    pub path: String,
    pub content: String,
    /// `utf8` (default) or `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// What it may be used for from now on; it stays as it was if this is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// Answer of `POST …/files/read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileContent {
    pub content: String,
    /// `utf8` or `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// Answer of `POST …/files/write`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileWritten {
    #[serde(default)]
    pub path: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
}
