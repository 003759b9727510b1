//! Snapshots: the files of a sandbox at one moment, kept apart from it.

use serde::{Deserialize, Serialize};

use super::Extra;

/// What to take a snapshot of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TakeSnapshot {
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Files and folders; empty: the workspace and the home folder. Relative ones are in the
    /// workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// A snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotTaken {
    pub snapshot_id: String,
    /// ISO 8601.
    pub created_at: String,
    /// Bytes that it takes where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it does not have, and what of the request was passed over, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A snapshot in the list of a sandbox's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEntry {
    pub snapshot_id: String,
    /// The sandbox that it was taken of.
    pub project_ref: String,
    /// ISO 8601.
    pub created_at: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// What was asked for; empty: everything.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Bytes that it takes where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// A place of the caller's own for snapshots: a bucket that speaks the S3 protocol.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStorage {
    /// `s3`, `gcs` or `r2`.
    #[serde(rename = "type")]
    pub kind: String,
    pub bucket: String,
    /// Where the service is, when it is not the usual place of its kind. `r2` has no usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub credentials: StorageCredentials,
    /// What the names of all objects begin with: `sandbox-snapshots/` if it is missing, and nothing
    /// if it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Without the credentials, and whatever else came.
impl std::fmt::Debug for SnapshotStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotStorage")
            .field("kind", &self.kind)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// What opens a bucket.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StorageCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for StorageCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageCredentials").finish_non_exhaustive()
    }
}
