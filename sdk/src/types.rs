//! The wire contract: what travels between a product, the orchestrator, a sandbox and the browser.
//!
//! Types only, no I/O, so that every crate on both sides of the wire can share them. Fields and event
//! types that this version does not know are kept and written back unchanged.

mod batch;
mod catalog;
mod error;
mod event;
mod execution;
mod fields;
mod files;
mod gateway;
mod git;
mod interaction;
mod network;
mod part;
mod process;
mod sandbox;
#[cfg(feature = "schema")]
mod schema;
mod search;
mod secret;
mod session;
mod snapshot;
mod terminal;
mod token;
mod trace;
mod usage;
mod webhook;

pub use batch::{
    BatchCompleted, BatchEvent, BatchRun, BatchStarted, BatchTask, ScalingMode, TaskCompleted,
    TaskFailed,
};
pub use catalog::{AgentCatalog, AgentInfo, ModelInfo, WireFormat};
pub use error::{ErrorBody, ErrorCode, ErrorDetail};
pub use event::{
    Event, EventBody, ExecutionStarted, PartUpdated, StatusUpdate, TurnDone, TurnError,
    TurnMetadata, TurnResult, event_type,
};
pub use execution::{ExecutionResult, ExecutionTiming};
pub use files::{FileMode, FileNotRead, FileRead, FilesRead, FolderListing, FsEntry, ReadFiles};
pub use gateway::{
    AgentEventFrame, ClientFrame, Connected, DeniedChannel, SUBPROTOCOL, ServerFrame, close_code,
};
pub use git::{GitBranch, GitChangedFile, GitCommit, GitDiff, GitStatus};
pub use interaction::{
    AnswerField, AnswerKind, AnswerOption, AnswerSpec, InteractionAnswer, InteractionAsked,
    InteractionCancelled, InteractionKind, InteractionPart, InteractionRequest,
    InteractionResolved, InteractionStatus, InvalidAnswer, Outcome, cancel_reason, grant,
};
pub use network::{ChangeNetwork, ExposedPort, NetworkPolicy};
pub use part::{
    FilePart, Part, PartBody, ReasoningPart, StepFinishPart, StepStartPart, StepTokens, TextPart,
    TimeSpan, ToolPart, ToolState,
};
pub use process::{ProcessInfo, ProcessResult, RunCode, SignalProcess, SpawnProcess};
pub use sandbox::{
    Connection, CreateProject, CreateSandbox, Exec, ExecResult, FileContent, FileWritten, GitAuth,
    GitSource, Project, ProjectContainer, ReadFile, Resources, Sandbox, SandboxStatus,
    UpdateSandbox, WriteFile,
};
pub use search::{SearchFiles, SearchMatch, SearchResults};
pub use secret::SecretInfo;
pub use session::{
    Abort, Aborted, BackendChoice, CostLimit, Dispatch, DispatchReceipt, InputPart, ModelChoice,
    SessionMapping, SessionStatus, TurnLimits, TurnRecord, TurnState,
};
pub use snapshot::{
    SnapshotEntry, SnapshotStorage, SnapshotTaken, StorageCredentials, TakeSnapshot,
};
pub use terminal::{OpenTerminal, ResizeTerminal, TerminalInfo, TerminalInput};
pub use token::{MintToken, ScopedToken, TokenScope};
pub use trace::{NoTraceParent, TraceParent};
pub use usage::{MeteredRequest, TokenUsage};
pub use webhook::{WebhookBody, WebhookEvent};

/// Fields this version does not name, kept for the round trip.
pub type Extra = serde_json::Map<String, serde_json::Value>;
