//! Figures for whoever watches over this orchestrator, in the text format of Prometheus.
//!
//! Each part counts for itself and keeps its figures; here they are put together. No label holds what
//! a caller wrote: there are as many series as there are routes, statuses and providers, and no more.

mod figures;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, time::Duration};

use http::StatusCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::api::App;
pub(crate) use figures::{GatewayFigures, LogFigures, SandboxFigures, WebhookFigures};

/// What every name begins with.
const PREFIX: &str = "skein";
/// Seconds: from an answer out of memory to a command that takes its time.
const REQUEST_SECONDS: [f64; 11] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 2.5, 10.0, 60.0];

/// The figures of the API, and all that are counted elsewhere.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Route, Histogram>,
    commands: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: &'static str,
}

/// What is looked up when somebody asks.
#[derive(Debug, Default)]
struct Now {
    /// How many sandboxes have which status.
    sandboxes: BTreeMap<String, usize>,
    turns: usize,
    viewers: usize,
    pages_from_memory: u64,
    pages_from_store: u64,
}

impl Metrics {
    /// Puts the figures of the parts together.
    pub(crate) fn new(
        log: &LogFigures,
        sandboxes: &SandboxFigures,
        gateway: &GatewayFigures,
        webhooks: &WebhookFigures,
    ) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let requests = Family::<Answered, Counter>::default();
        let seconds: Family<Route, Histogram> = Family::new_with_constructor(request_seconds);
        let commands = Counter::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        let help = "Time from a request's head to its answer's head";
        registry.register("http_request_seconds", help, seconds.clone());
        registry.register("commands", "Commands that were run in sandboxes", commands.clone());
        log.register(&mut registry);
        sandboxes.register(&mut registry);
        gateway.register(&mut registry);
        webhooks.register(&mut registry);
        Self { registry, requests, seconds, commands }
    }

    /// Counts an answer. `route`: the pattern, never the path.
    pub(crate) fn answered(&self, route: &str, status: StatusCode, took: Duration) {
        let answered = Answered { route: route.to_owned(), status: class(status.as_u16()) };
        self.requests.get_or_create(&answered).inc();
        let route = Route { route: route.to_owned() };
        self.seconds.get_or_create(&route).observe(took.as_secs_f64());
    }

    /// Counts a command that a sandbox took.
    pub(crate) fn command_ran(&self) {
        self.commands.inc();
    }

    /// All figures as they stand.
    pub(crate) fn exposition(&self, app: &App) -> Result<String, fmt::Error> {
        self.encode(&Now::of(app))
    }

    fn encode(&self, now: &Now) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode_registry(&mut text, &now.registry())?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }
}

impl Now {
    fn of(app: &App) -> Self {
        let mut sandboxes: BTreeMap<String, usize> = BTreeMap::new();
        for snapshot in app.sandboxes.list(&[]) {
            *sandboxes.entry(snapshot.status().as_str().to_owned()).or_default() += 1;
        }
        let (pages_from_memory, pages_from_store) = app.logs.pages_read();
        Self {
            sandboxes,
            turns: app.turns.running(),
            viewers: app.gateway.open(),
            pages_from_memory,
            pages_from_store,
        }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        let sandboxes = Family::<Status, Gauge>::default();
        // Those that there are none of, too: a graph shall not have holes.
        for status in ["provisioning", "running", "stopped", "failed", "expired"] {
            sandboxes.get_or_create(&Status { status: status.to_owned() }).set(0);
        }
        for (status, count) in &self.sandboxes {
            let status = Status { status: status.clone() };
            sandboxes.get_or_create(&status).set(whole(*count));
        }
        registry.register("sandboxes", "Sandboxes by their status", sandboxes);
        let turns: Gauge = Gauge::default();
        turns.set(whole(self.turns));
        registry.register("turns_running", "Turns that run", turns);
        let viewers: Gauge = Gauge::default();
        viewers.set(whole(self.viewers));
        registry.register("gateway_connections", "Viewers that are connected", viewers);
        let pages = Family::<Source, Counter>::default();
        pages.get_or_create(&Source { source: "memory" }).inc_by(self.pages_from_memory);
        pages.get_or_create(&Source { source: "store" }).inc_by(self.pages_from_store);
        let help = "Pages of events that readers took from memory or, because they were behind, \
                    from the database";
        registry.register("event_pages_read", help, pages);
        registry
    }
}

fn request_seconds() -> Histogram {
    Histogram::new(REQUEST_SECONDS.iter().copied())
}

/// The class of an HTTP status.
fn class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "other",
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
