//! What a sandbox may reach, and which of its ports can be reached.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What holds for a sandbox. `GET /v1/sandboxes/{id}/network`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// It reaches nothing.
    pub block_outbound: bool,
    /// All that it reaches, where a list says so.
    #[serde(default)]
    pub allow_list: Vec<String>,
    /// Its open ports.
    #[serde(default)]
    pub ports: Vec<u16>,
}

/// Body of `PATCH /v1/sandboxes/{id}/network`: what changes; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangeNetwork {
    /// `false` with no list: it reaches every public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_outbound: Option<bool>,
    /// Hosts, with a port or without; nothing else is reached. An empty list reaches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_list: Option<Vec<String>>,
    /// The ports that are open from now on; others are closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<u16>>,
}

/// An open port of a sandbox.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExposedPort {
    pub port: u16,
    /// An origin of its own. Whoever knows it can reach the port.
    pub url: String,
}

/// Without the URL, which is as good as a key.
impl fmt::Debug for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExposedPort").field("port", &self.port).finish_non_exhaustive()
    }
}
