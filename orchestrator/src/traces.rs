//! Traces: what requests and turns spend their time on, sent to a collector by OTLP over HTTP.
//!
//! Only spans of [`TARGET`] are sent, with the attributes that stand where they are made. Whatever
//! else is logged stays here: a line of the log can't leave by this way. Without a collector there is
//! no layer, no task and no connection, and such a span costs one look at a flag.

mod context;
mod export;
mod otlp;
mod recorder;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use percent_encoding::percent_decode_str;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
};

use context::Sampler;
use export::Exporter;
use recorder::Recorder;

/// Target of the spans that are sent. The log leaves them out.
pub const TARGET: &str = "skein_traces";

/// Spans that wait for the collector. More are dropped, and counted.
const QUEUE: usize = 2048;
/// Time that is left at the end for what waits.
const GRACE: Duration = Duration::from_secs(2);
/// A collector that is slower than this is away.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go. The variables are those that OpenTelemetry names.
#[derive(Clone, Debug, clap::Args)]
pub struct TracesConfig {
    /// Collector of traces, by OTLP over HTTP with JSON; they go to `/v1/traces` below this URL
    /// [default: nobody collects traces].
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// The whole URL that traces go to, when it is another.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")]
    pub otlp_traces_endpoint: Option<String>,
    /// Headers for the collector: `name=value`, with commas in between and percent-encoded values.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true)]
    pub otlp_headers: Option<SecretString>,
    /// Name under which the collector shows these traces.
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "skein-orchestrator")]
    pub otel_service_name: String,
    /// Share of traces that are sent, from 0 to 1, where the caller has not decided.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1", value_parser = share)]
    pub otel_traces_share: f64,
}

/// Why traces can't be sent. The words name the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    #[error(
        "the collector of traces must be an http or https URL. Correct OTEL_EXPORTER_OTLP_ENDPOINT \
         or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    )]
    Endpoint,
    #[error("OTEL_EXPORTER_OTLP_HEADERS must be like name=value,name=value")]
    Headers,
    #[error("no HTTP client could be made for traces")]
    Client(#[source] reqwest::Error),
}

/// Sends what was traced, until it is [finished](Self::finish).
#[derive(Debug)]
pub struct Traces {
    closing: CancellationToken,
    sending: JoinHandle<()>,
}

impl TracesConfig {
    /// The layer that takes the spans, and who sends them in a task of the runtime. `None`: nobody
    /// collects traces.
    ///
    /// # Errors
    /// When the URL or the headers can't be used.
    pub fn begin(&self, runtime: &Handle) -> Result<Option<(SpanLayer, Traces)>, TracesError> {
        let Some(url) = self.url()? else { return Ok(None) };
        let (sender, finished) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let recorder = Recorder::new(Sampler::new(self.otel_traces_share), sender, dropped.clone());
        let targets = Targets::new().with_target(TARGET, LevelFilter::INFO);
        let layer = Layer::<Registry>::with_filter(recorder, targets).boxed();
        let closing = CancellationToken::new();
        let exporter = Exporter {
            client: client(&url)?,
            url,
            headers: self.headers()?,
            service: self.otel_service_name.clone(),
            finished,
            dropped,
            closing: closing.clone(),
        };
        let sending = runtime.spawn(exporter.run());
        Ok(Some((layer, Traces { closing, sending })))
    }

    /// Where traces are posted to. An empty variable is none.
    fn url(&self) -> Result<Option<Url>, TracesError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let below = |url: String| format!("{}/v1/traces", url.trim().trim_end_matches('/'));
        let whole = given(&self.otlp_traces_endpoint);
        let Some(text) = whole.or_else(|| given(&self.otlp_endpoint).map(below)) else {
            return Ok(None);
        };
        let url = text.trim().parse::<Url>().map_err(|_| TracesError::Endpoint)?;
        let is_usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        is_usable.then_some(Some(url)).ok_or(TracesError::Endpoint)
    }

    fn headers(&self) -> Result<HeaderMap, TracesError> {
        let mut headers = HeaderMap::new();
        let text = self.otlp_headers.as_ref().map_or("", |text| text.expose_secret());
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(TracesError::Headers)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            let value: Vec<u8> = percent_decode_str(value.trim()).collect();
            let value = HeaderValue::from_bytes(&value);
            let mut value = value.map_err(|_| TracesError::Headers)?;
            value.set_sensitive(true);
            headers.insert(name.map_err(|_| TracesError::Headers)?, value);
        }
        Ok(headers)
    }
}

/// What takes spans out of a subscriber.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

impl Traces {
    /// Sends what waits, no longer than for two seconds.
    pub async fn finish(self) {
        self.closing.cancel();
        if tokio::time::timeout(GRACE, self.sending).await.is_err() {
            tracing::warn!("the collector of traces did not take the last ones");
        }
    }
}

fn client(url: &Url) -> Result<reqwest::Client, TracesError> {
    let client =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    // A proxy of the environment leads out of this machine, never back into it.
    let client = if here || host == "localhost" { client.no_proxy() } else { client };
    client.build().map_err(TracesError::Client)
}

fn share(text: &str) -> Result<f64, String> {
    // As OpenTelemetry has it: an empty variable is none.
    let text = if text.trim().is_empty() { "1" } else { text.trim() };
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// The method if it is a known one: others are the caller's own words.
pub(crate) fn method(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests;
