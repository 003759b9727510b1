//! What the parts count. Each keeps its figures and knows nothing of who reads them.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use sandbox_sdk::types::{MeteredRequest, TurnState};

use super::class;
use crate::models::PROVIDERS;

/// Seconds that a transaction takes, from a fast disk to a slow one.
const APPEND_SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 5.0];
/// Seconds until a sandbox answers.
const START_SECONDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelRequest {
    /// One of the known ones, never the model: of those a caller may name any.
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelTokens {
    provider: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    code: String,
    reason: &'static str,
}

/// Of the event log, and of the turns whose ends stand in it.
#[derive(Debug)]
pub(crate) struct LogFigures {
    events: Counter,
    append_seconds: Histogram,
    turns: Family<Outcome, Counter>,
    model_requests: Family<ModelRequest, Counter>,
    model_tokens: Family<ModelTokens, Counter>,
}

impl Default for LogFigures {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            append_seconds: Histogram::new(APPEND_SECONDS.iter().copied()),
            turns: Family::default(),
            model_requests: Family::default(),
            model_tokens: Family::default(),
        }
    }
}

impl LogFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("events_appended", "Events that are on disk", self.events.clone());
        let help = "Time from an append's call until its events are on disk and published";
        registry.register("append_seconds", help, self.append_seconds.clone());
        registry.register("turns_ended", "Turns by how they ended", self.turns.clone());
        let help = "Requests to models, counted when their turn ends";
        registry.register("model_requests", help, self.model_requests.clone());
        let help = "Tokens of those requests; read ones without those from a cache";
        registry.register("model_tokens", help, self.model_tokens.clone());
    }

    /// Events are on disk.
    pub(crate) fn appended(&self, events: usize, took: Duration) {
        self.events.inc_by(events as u64);
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// A turn has ended, after these requests.
    pub(crate) fn turn_ended(&self, state: TurnState, requests: &[MeteredRequest]) {
        let outcome = match state {
            TurnState::Completed => "completed",
            TurnState::Failed => "failed",
            TurnState::Aborted => "aborted",
            TurnState::Interrupted => "interrupted",
            TurnState::Running => "running",
        };
        self.turns.get_or_create(&Outcome { outcome }).inc();
        for request in requests {
            self.model_request(request);
        }
    }

    fn model_request(&self, request: &MeteredRequest) {
        // A call that brings an address of its own gives it any name.
        let named = request.model.split('/').next().unwrap_or_default();
        let provider = PROVIDERS.into_iter().find(|known| *known == named).unwrap_or("other");
        let outcome = match request.status {
            0 => "unanswered",
            200..300 if !request.complete => "cut",
            status => class(status),
        };
        let labels = ModelRequest { provider, outcome };
        self.model_requests.get_or_create(&labels).inc();
        let usage = &request.token_usage;
        for (kind, tokens) in [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_input_tokens.unwrap_or(0)),
            ("cache_write", usage.cache_creation_input_tokens.unwrap_or(0)),
        ] {
            let labels = ModelTokens { provider, kind };
            self.model_tokens.get_or_create(&labels).inc_by(tokens);
        }
    }
}

/// Of the registry of sandboxes.
#[derive(Debug)]
pub(crate) struct SandboxFigures {
    starts: Family<Outcome, Counter>,
    start_seconds: Histogram,
}

impl Default for SandboxFigures {
    fn default() -> Self {
        let start_seconds = Histogram::new(START_SECONDS.iter().copied());
        Self { starts: Family::default(), start_seconds }
    }
}

impl SandboxFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Starts and resumptions of sandboxes by what came of them";
        registry.register("sandbox_starts", help, self.starts.clone());
        let help = "Time that starts took which came to something";
        registry.register("sandbox_start_seconds", help, self.start_seconds.clone());
    }

    /// A start is over.
    pub(crate) fn started(&self, took: Duration, well: bool) {
        let outcome = if well { "running" } else { "failed" };
        self.starts.get_or_create(&Outcome { outcome }).inc();
        if well {
            self.start_seconds.observe(took.as_secs_f64());
        }
    }
}

/// Of the session gateway.
#[derive(Debug, Default)]
pub(crate) struct GatewayFigures {
    opened: Counter,
    closed: Family<Closed, Counter>,
    frames: Counter,
    replays: Counter,
}

impl GatewayFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Connections that were opened";
        registry.register("gateway_connections_opened", help, self.opened.clone());
        let help = "Connections that ended, by close code and reason";
        registry.register("gateway_connections_closed", help, self.closed.clone());
        registry.register("gateway_frames_sent", "Frames sent to viewers", self.frames.clone());
        let help = "Replays that were begun for viewers";
        registry.register("gateway_replays", help, self.replays.clone());
    }

    pub(crate) fn opened(&self) {
        self.opened.inc();
    }

    /// `reason`: one of the gateway's own words.
    pub(crate) fn closed(&self, code: u16, reason: &'static str) {
        self.closed.get_or_create(&Closed { code: code.to_string(), reason }).inc();
    }

    pub(crate) fn sent(&self, frames: usize) {
        self.frames.inc_by(frames as u64);
    }

    pub(crate) fn replay_begun(&self) {
        self.replays.inc();
    }
}

/// Of the outbox of webhooks.
#[derive(Clone, Debug, Default)]
pub(crate) struct WebhookFigures {
    tries: Family<Outcome, Counter>,
}

impl WebhookFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Tries to deliver webhooks by what came of them";
        registry.register("webhook_deliveries", help, self.tries.clone());
    }

    /// `outcome`: `delivered`, `refused`, `retried` or `given_up`.
    pub(crate) fn tried(&self, outcome: &'static str, count: u64) {
        self.tries.get_or_create(&Outcome { outcome }).inc_by(count);
    }
}
