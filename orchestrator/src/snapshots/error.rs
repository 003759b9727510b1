//! Why a snapshot can't be taken, found or restored.

use std::io;

use sandbox_sdk::types::ErrorCode;

use crate::{error::ApiError, flaw::Flaw, sidecar::SidecarError, store::StoreError};

/// Its words are for people, and hold no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("{0}")]
    Invalid(String),
    /// One field of the request alone is to blame.
    #[error("{0}")]
    Flawed(Flaw),
    #[error("there is no such snapshot")]
    NotFound,
    #[error("a snapshot of this sandbox is being taken or restored; try again once that is over")]
    Busy,
    #[error("a turn is running in this sandbox; its files can't be replaced meanwhile")]
    TurnRuns,
    #[error("a sandbox has at most {0} snapshots; delete some first")]
    TooMany(u64),
    #[error("the snapshot is larger than {0} MB, which is the most here")]
    TooLarge(u64),
    #[error("there is no room for more snapshots here; delete some first")]
    NoRoom,
    #[error("the snapshot is damaged; nothing was changed")]
    Damaged,
    /// What the storage said, or that it said nothing.
    #[error("the storage of snapshots failed: {0}")]
    Storage(String),
    #[error("too many snapshots are being taken or restored; try again later")]
    Crowded,
    #[error("it took too long")]
    TooSlow,
    #[error("the orchestrator is shutting down")]
    ShuttingDown,
    #[error("the folder of snapshots failed: {0}")]
    Folder(#[from] io::Error),
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        let message = error.to_string();
        let code = match error {
            SnapshotError::Invalid(_) => ErrorCode::Validation,
            SnapshotError::Flawed(flaw) => {
                return Self::invalid(message).about_fields(flaw.fields());
            }
            SnapshotError::NotFound => return Self::not_found("snapshot", ""),
            SnapshotError::Busy
            | SnapshotError::TurnRuns
            | SnapshotError::TooMany(_)
            | SnapshotError::Damaged => ErrorCode::InvalidState,
            SnapshotError::TooLarge(_) => ErrorCode::TooLarge,
            SnapshotError::NoRoom => return no_room(),
            SnapshotError::Storage(_) | SnapshotError::Crowded | SnapshotError::ShuttingDown => {
                ErrorCode::Unavailable
            }
            SnapshotError::TooSlow => ErrorCode::Timeout,
            SnapshotError::Folder(error) if error.kind() == io::ErrorKind::StorageFull => {
                return no_room();
            }
            SnapshotError::Folder(error) => return Self::internal(&error),
            SnapshotError::Sidecar(error) => return error.into(),
            SnapshotError::Store(error) => return error.into(),
        };
        Self::new(code, message)
    }
}

fn no_room() -> ApiError {
    let error = ApiError::new(ErrorCode::QuotaExceeded, SnapshotError::NoRoom.to_string());
    error.with("quotaType", "snapshots")
}
