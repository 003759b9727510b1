//! The wire contract: what travels between a product, the orchestrator, a sandbox and the browser.
//!
//! Types only, no I/O, so that every crate on both sides of the wire can share them. Fields and event
//! types that this version does not know are kept and written back unchanged.

mod batch;
mod catalog;
mod error;
mod event;
mod fields;
mod files;
mod gateway;
mod interaction;
mod part;
mod process;
mod sandbox;
#[cfg(feature = "schema")]
mod schema;
mod session;
mod snapshot;
mod terminal;
mod usage;
mod webhook;

pub use batch::{BatchRun, BatchTask, ScalingMode};
pub use catalog::{AgentCatalog, AgentInfo, ModelInfo, WireFormat};
pub use error::{ErrorBody, ErrorCode, ErrorDetail};
pub use event::{
    Event, EventBody, ExecutionStarted, PartUpdated, StatusUpdate, TurnDone, TurnError,
    TurnMetadata, TurnResult, event_type,
};
pub use files::{FileMode, FileNotRead, FileRead, FilesRead, FolderListing, FsEntry, ReadFiles};
pub use gateway::{
    AgentEventFrame, ClientFrame, Connected, DeniedChannel, SUBPROTOCOL, ServerFrame, close_code,
};
pub use interaction::{
    AnswerField, AnswerKind, AnswerOption, AnswerSpec, InteractionAnswer, InteractionAsked,
    InteractionCancelled, InteractionKind, InteractionPart, InteractionRequest,
    InteractionResolved, InteractionStatus, InvalidAnswer, Outcome, cancel_reason, grant,
};
pub use part::{
    FilePart, Part, PartBody, ReasoningPart, StepFinishPart, StepStartPart, StepTokens, TextPart,
    TimeSpan, ToolPart, ToolState,
};
pub use process::{ProcessInfo, ProcessResult, RunCode, SignalProcess, SpawnProcess};
pub use sandbox::{
    Connection, CreateProject, CreateSandbox, Exec, ExecResult, FileContent, FileWritten, Project,
    ProjectContainer, ReadFile, Resources, Sandbox, SandboxStatus, UpdateSandbox, WriteFile,
};
pub use session::{
    Abort, Aborted, BackendChoice, CostLimit, Dispatch, DispatchReceipt, InputPart, ModelChoice,
    SessionMapping, SessionStatus, TurnLimits, TurnRecord, TurnState,
};
pub use snapshot::{
    SnapshotEntry, SnapshotStorage, SnapshotTaken, StorageCredentials, TakeSnapshot,
};
pub use terminal::{OpenTerminal, ResizeTerminal, TerminalInfo, TerminalInput};
pub use usage::{MeteredRequest, TokenUsage};
pub use webhook::{WebhookBody, WebhookEvent};

/// Fields this version does not name, kept for the round trip.
pub type Extra = serde_json::Map<String, serde_json::Value>;
