//! Tokens that a product hands on: for a while, and for a part of what it may do itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TokenScope {
    /// The session gateway, one session. Its mapping must be registered.
    Session,
    /// The session gateway, all sessions of the sandbox.
    Project,
    /// The sandbox's own surface, as far as nothing is changed.
    ReadOnly,
    /// The sandbox's own surface: files, commands, one terminal or session.
    SessionRuntime,
}

/// Body of `POST /v1/sandboxes/{id}/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MintToken {
    pub scope: TokenScope,
    /// Needed by `session` and `session-runtime`; may narrow `read-only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// At least 1. More than the service gives is the most it gives, as is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_minutes: Option<u32>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScopedToken {
    /// A secret.
    pub token: String,
    /// ISO 8601.
    pub expires_at: String,
    pub scope: TokenScope,
    /// The sandbox's surface as pages reach it.
    #[serde(default)]
    pub sidecar_proxy_url: String,
}

impl fmt::Debug for ScopedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedToken")
            .field("scope", &self.scope)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
