//! What is kept of the requests of a turn.

use sandbox_sdk::types::{Extra, MeteredRequest, TokenUsage, TurnError, WireFormat};

use super::super::{ChosenModel, usage::Usage};
use crate::{clock::now_ms, store::Used};

/// One request to a model, as it was metered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestRecord {
    /// When it went out, in milliseconds since the Unix epoch.
    pub(crate) at: i64,
    /// As `provider/model`.
    pub(crate) model: String,
    pub(crate) format: WireFormat,
    /// What the provider answered; 0: nothing.
    pub(crate) status: u16,
    pub(crate) usage: Usage,
    /// The provider did not tell what it used: counted from what passed.
    pub(crate) estimated: bool,
    /// The answer came to its end.
    pub(crate) complete: bool,
    pub(crate) duration_ms: u64,
}

impl RequestRecord {
    /// Of a request that goes out. Should this process end, nobody will know better than that it was
    /// read. It is billed for what it probably read then, not for the most that this could come to.
    pub(super) fn begun(model: &ChosenModel, format: WireFormat, expected: Usage) -> Self {
        Self {
            at: now_ms(),
            model: model.name(),
            format,
            status: 0,
            usage: expected,
            estimated: true,
            complete: false,
            duration_ms: 0,
        }
    }

    fn to_wire(&self) -> MeteredRequest {
        MeteredRequest {
            at: self.at,
            model: self.model.clone(),
            format: self.format,
            status: self.status,
            token_usage: self.usage.to_wire(),
            estimated: self.estimated,
            complete: self.complete,
            duration_ms: self.duration_ms,
            extra: Extra::new(),
        }
    }
}

/// What a turn used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metered {
    pub(crate) usage: TokenUsage,
    pub(crate) requests: Vec<RequestRecord>,
    /// What the provider did wrong last, if it has not done better since.
    pub(crate) problem: Option<TurnError>,
    /// Why the agent could not go on.
    pub(crate) used_up: Option<TurnError>,
}

impl Metered {
    /// As it is kept with the turn.
    pub(crate) fn used(&self) -> Used {
        used(&self.requests)
    }
}

/// The sum of the requests, with how many there are and whether some of it is estimated.
pub(super) fn used(records: &[RequestRecord]) -> Used {
    let mut sum = Usage::default();
    records.iter().for_each(|record| sum.add(&record.usage));
    let mut tokens = sum.to_wire();
    tokens.extra.insert("requests".to_owned(), records.len().into());
    if records.iter().any(|record| record.estimated) {
        tokens.extra.insert("estimated".to_owned(), true.into());
    }
    Used { tokens, requests: records.iter().map(RequestRecord::to_wire).collect() }
}
