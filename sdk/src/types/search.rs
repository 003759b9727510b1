//! Searching the files of a sandbox.

use serde::{Deserialize, Serialize};

/// Body of `POST …/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchFiles {
    /// Regular expression for lines, of the kind that takes linear time.
    pub pattern: String,
    /// Which files: by their path below `cwd`, or by name if it has no slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// Folder or file to search; the workspace if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// 200 if none is given, and never more than 2000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Lines that are told before and after each match, at most 20.
    #[serde(default)]
    pub context: u32,
}

/// What was found, in the order of the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchResults {
    pub matches: Vec<SearchMatch>,
    /// There may be more: a limit was reached.
    #[serde(default)]
    pub truncated: bool,
}

/// A line that fits. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchMatch {
    /// Below the folder that was searched, as in `glob`; of a file that was searched, its name.
    pub path: String,
    pub line: u64,
    #[serde(default)]
    pub column: u64,
    /// Long ones are cut.
    #[serde(default)]
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}
