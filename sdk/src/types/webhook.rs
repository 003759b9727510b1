//! Webhooks: how the orchestrator tells a product that a turn has ended.

use serde::{Deserialize, Serialize};

use super::{Extra, TokenUsage, TurnState};

/// Body of a webhook. It is a nudge: the receiver asks the orchestrator for the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookBody {
    /// Unique; the same again is the same event.
    pub id: String,
    /// [`WebhookBody::TURN_ENDED`], or a later type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// What happened.
    pub data: WebhookEvent,
}

impl WebhookBody {
    /// Type of the event that says a turn has ended.
    pub const TURN_ENDED: &str = "turn.ended";
}

/// A turn has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookEvent {
    #[serde(default)]
    pub sandbox_id: String,
    pub session_id: String,
    pub turn_id: String,
    /// How it ended.
    pub outcome: TurnState,
    /// Metered by the orchestrator.
    pub token_usage: TokenUsage,
    #[serde(flatten)]
    pub extra: Extra,
}
