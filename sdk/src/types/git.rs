//! Version control in a sandbox.

use serde::{Deserialize, Serialize};

/// Where the work stands. `GET …/git/status`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GitStatus {
    /// `HEAD` when no branch is checked out.
    pub branch: String,
    /// The commit that is checked out; empty before the first.
    #[serde(default)]
    pub head: String,
    /// A file is staged, modified or untracked.
    #[serde(default)]
    pub is_dirty: bool,
    /// Commits that the upstream does not have.
    #[serde(default)]
    pub ahead: u64,
    /// Commits that only the upstream has.
    #[serde(default)]
    pub behind: u64,
    /// Files whose next commit differs from the last one, relative to the repository's top.
    #[serde(default)]
    pub staged: Vec<String>,
    /// Files that differ from what is staged.
    #[serde(default)]
    pub modified: Vec<String>,
    /// Files that git does not know.
    #[serde(default)]
    pub untracked: Vec<String>,
    /// There are more files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// One commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GitCommit {
    pub sha: String,
    #[serde(default)]
    pub short_sha: String,
    /// All of it, not only its first line.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub author: String,
    #[serde(default)]
    pub email: String,
    /// ISO 8601, with the author's own zone.
    #[serde(default)]
    pub date: String,
}

/// What is different. `GET …/git/diff`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GitDiff {
    pub files: Vec<GitChangedFile>,
    /// Lines, of all files.
    #[serde(default)]
    pub additions: u64,
    /// Lines, of all files.
    #[serde(default)]
    pub deletions: u64,
    /// The patch.
    #[serde(default)]
    pub raw: String,
    /// There is more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A file that is different. Of files that are no text no lines are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GitChangedFile {
    pub path: String,
    /// `added`, `modified`, `deleted` or `renamed`.
    pub status: String,
    #[serde(default)]
    pub additions: u64,
    #[serde(default)]
    pub deletions: u64,
}

/// A branch of this repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GitBranch {
    pub name: String,
    /// It is checked out.
    #[serde(default)]
    pub current: bool,
    /// The branch elsewhere that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Its last commit.
    #[serde(default)]
    pub commit: String,
}
