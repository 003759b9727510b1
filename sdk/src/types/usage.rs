//! Token usage, in one normalised shape for all providers.

use serde::{Deserialize, Serialize};

use super::{Extra, WireFormat, fields::read_fields};

/// Tokens used by one turn. `input_tokens` excludes what was read from or written to a cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenUsage {
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Reasoning tokens are part of this figure.
    pub output_tokens: u64,
    /// The provider's own sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// Written to the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation_input_tokens: Option<u64>,
    /// Of the output, what was thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// One request to a model, as the orchestrator metered it. The tokens of a turn's requests add up to
/// the turn's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MeteredRequest {
    /// When it went out, in milliseconds since the Unix epoch.
    pub at: i64,
    /// As `provider/model`.
    pub model: String,
    /// What it was written in.
    pub format: WireFormat,
    /// HTTP status that the provider answered with; 0: it did not answer.
    pub status: u16,
    pub token_usage: TokenUsage,
    /// The provider did not tell what it used: counted from what passed.
    pub estimated: bool,
    /// The answer came to its end.
    pub complete: bool,
    /// Until the end of the answer, in milliseconds.
    pub duration_ms: u64,
    #[serde(flatten)]
    pub extra: Extra,
}

read_fields! {
    TokenUsage {
        input_tokens: optional("inputTokens"),
        output_tokens: optional("outputTokens"),
        total_tokens: optional("totalTokens"),
        cache_read_input_tokens: optional("cacheReadInputTokens"),
        cache_creation_input_tokens: optional("cacheCreationInputTokens"),
        reasoning_tokens: optional("reasoningTokens");
        extra
    }
}
