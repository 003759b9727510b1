//! What orchestrator and sidecar say to each other beyond the public API's own types.

use std::fmt;

use http::HeaderName;
use sandbox_sdk::types::{BackendChoice, InteractionAnswer, TurnState, WireFormat};
use serde::{Deserialize, Serialize};

/// Event type that ends an agent's stream. It is for the orchestrator, not for the session's log.
pub const AGENT_FINISHED: &str = "agent.finished";

/// Body of `POST /agents/run/stream`: one turn for an agent in the sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRun {
    pub session_id: String,
    pub turn_id: String,
    /// What the person wrote.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendChoice>,
    /// How the agent reaches its model. The demo agent has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelAccess>,
}

#[cfg(test)]
impl AgentRun {
    /// Turn `t` of session `s`, for tests of what an agent says.
    pub(crate) fn unasked() -> Self {
        Self {
            session_id: "s".into(),
            turn_id: "t".into(),
            message: String::new(),
            backend: None,
            model: None,
        }
    }
}

/// A model as an agent in a sandbox sees it: behind the model gateway, for one turn.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelAccess {
    /// Opens the model gateway while the turn runs. No provider's key.
    pub token: String,
    /// `anthropic`, `openai`, …
    pub provider: String,
    /// Name to put into requests.
    pub model: String,
    /// What the agent has to speak.
    pub format: WireFormat,
    /// How much the model can read at once, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
}

/// Without the token.
impl fmt::Debug for ModelAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelAccess")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Data of the event [`AGENT_FINISHED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFinished {
    pub outcome: TurnState,
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    pub content: String,
    /// `utf8` or `base64`, as it was asked for.
    pub encoding: String,
}

/// Answer of `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok`
    pub status: String,
    /// Processes in the sandbox, the sidecar included.
    pub processes: usize,
    /// Bytes in the workspace and the home folder when last measured.
    pub disk_used: u64,
}

/// Answer of a file write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) path: String,
    pub(crate) size: u64,
}

/// Body of `POST /archive/pack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackPaths {
    /// Absolute inside the sandbox.
    pub(crate) paths: Vec<String>,
}

/// Comes after an archive: how many entries it could not have.
pub(crate) const LEFT_OUT: HeaderName = HeaderName::from_static("skein-left-out");

/// Body of `POST /git/clone`: what the workspace of a new sandbox is filled with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CloneRepository {
    pub(crate) url: String,
    /// Scheme, host and port of the URL: nothing else gets the authorization.
    pub(crate) origin: String,
    pub(crate) revision: Revision,
    /// Commits of its history.
    pub(crate) depth: u64,
    /// Folders that are checked out; none: all.
    pub(crate) sparse: Vec<String>,
    /// Value of the header of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorization: Option<String>,
}

/// What of a repository is checked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Revision {
    /// Its own branch.
    Own,
    /// A branch or a tag.
    Named(String),
    /// The whole id of a commit, or the whole name of a reference.
    Exact(String),
}

/// Without the authorization.
impl fmt::Debug for CloneRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloneRepository")
            .field("url", &self.url)
            .field("revision", &self.revision)
            .field("depth", &self.depth)
            .field("sparse", &self.sparse)
            .finish_non_exhaustive()
    }
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unpacked {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Body of `POST /agents/interactions`: what a person says to an agent that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersonAnswered {
    pub(crate) turn_id: String,
    pub(crate) answer: InteractionAnswer,
}

/// Whether an agent waited for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerTaken {
    pub(crate) taken: bool,
}

/// Whether programs in the sandbox are told of the way to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkTold {
    pub(crate) reachable: bool,
}

/// Answer of an abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AbortAnswer {
    pub(crate) cancelled: bool,
}

/// Envelope `{success, result}` of a command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResultEnvelope<T> {
    pub(crate) success: bool,
    pub(crate) result: T,
}

/// Envelope `{success, data}` of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DataEnvelope<T> {
    pub(crate) success: bool,
    pub(crate) data: T,
}
