//! Logs: one line an event, as text for people or JSON for machines, on standard error.

use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Libraries that print headers, frames or statements when they are asked for details, and with them
/// cookies and tokens. They stay quiet unless the filter names them. And the orchestrator's spans for
/// traces, which are no matter of the log.
const DISCREET: &str = "hyper=info,hyper_util=info,reqwest=info,sqlx=info,tungstenite=info,\
                        tokio_tungstenite=info,rustls=info,tower_http=info,skein_traces=off";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Why logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter can't be read.
    #[error("{0:?} is no log filter; write it as `info` or `info,server=debug`")]
    Filter(String),
    /// Something in this process logs already.
    #[error("logging is set up already")]
    Twice,
}

/// Sends the whole process's log to standard error.
///
/// # Errors
/// When the filter can't be read, or logging was set up before.
pub fn init(filter: &str, format: Format) -> Result<(), TelemetryError> {
    subscriber(filter, format, std::io::stderr)?.try_init().map_err(|_| TelemetryError::Twice)
}

/// What [`init`] installs, for a writer of choice.
///
/// # Errors
/// When the filter can't be read.
pub fn subscriber<W>(
    filter: &str,
    format: Format,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + 'static + use<W>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::from_str(&format!("{DISCREET},{filter}"))
        .map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Text => lines.with_ansi(false).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(Registry::default().with(lines.with_filter(filter)))
}
