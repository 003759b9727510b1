//! The orchestrator alone: configuration, log, start, and an orderly end. And what it would find and
//! reach if it were started.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use orchestrator::traces::{self, SpanLayer, Traces, TracesConfig};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Runs sandboxes and their agents on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    config: orchestrator::Config,
    #[command(flatten)]
    traces: TracesConfig,
    /// What is logged: a level, or a filter such as `info,orchestrator=debug`.
    #[arg(long, env = "SKEIN_LOG", default_value = "info")]
    log: String,
    /// How it is logged.
    #[arg(long, env = "SKEIN_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Without one it runs until it is stopped.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Command {
    /// List the agents and models that are installed and configured.
    Agents,
    /// Make one small request to the model, and say whether it works or why not.
    CheckModel,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    orchestrator::sidecar::run_if_asked();
    match run_to_end(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // One line with the way out; a backtrace would bury it.
            eprintln!("orchestrator: {}", in_words(&error));
            ExitCode::FAILURE
        }
    }
}

fn run_to_end(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The answers of the two commands are what is to be read; a log would bury them.
    let told = match cli.command {
        None => {
            let traces = observe(&cli, runtime.handle())?;
            let ended = runtime.block_on(run(cli.config));
            if let Some(traces) = traces {
                runtime.block_on(traces.finish());
            }
            ended?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Agents) => runtime.block_on(orchestrator::overview(&cli.config)),
        Some(Command::CheckModel) => {
            runtime.block_on(orchestrator::check_model(&cli.config.models))
        }
    };
    let (Ok(words) | Err(words)) = &told;
    println!("{}", words.trim_end());
    Ok(if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The error with its causes, in one line. Some say their cause themselves, before the way out; nobody
/// has to read it twice.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
    }
    words
}

async fn run(config: orchestrator::Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let orchestrator = orchestrator::start(config).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    orchestrator.shutdown().await;
    Ok(())
}

/// Logs to standard error, and sends traces if somebody collects them.
fn observe(cli: &Cli, runtime: &Handle) -> anyhow::Result<Option<Traces>> {
    let filter = format!("{},{}=off", cli.log, traces::TARGET);
    let filter = EnvFilter::try_new(filter).context("SKEIN_LOG is not a log filter")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Without a terminal there is nobody to see colours; with one, `NO_COLOR` is heard.
    let lines = if std::io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines: SpanLayer = match cli.log_format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let (spans, traces) = cli.traces.begin(runtime)?.unzip();
    let layers: Vec<_> = [lines].into_iter().chain(spans).collect();
    tracing_subscriber::registry().with(layers).init();
    Ok(traces)
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use orchestrator::StartError;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::other("Address already in use");
        let error = StartError::Listen { addr: ([127, 0, 0, 1], 1).into(), source };
        let words = in_words(&error.into());
        assert_eq!(words.matches("already in use").count(), 1, "{words}");
        let error = anyhow::anyhow!("the disk").context("the folder");
        assert_eq!(in_words(&error), "the folder: the disk");
    }

    #[test]
    fn what_a_command_needs_may_stand_before_it_or_after_it() {
        for words in [["--data", "elsewhere", "agents"], ["agents", "--data", "elsewhere"]] {
            let cli = Cli::try_parse_from(["orchestrator"].into_iter().chain(words)).unwrap();
            assert_eq!(cli.config.data, Path::new("elsewhere"));
            assert!(matches!(cli.command, Some(Command::Agents)));
        }
        let words = ["orchestrator", "check-model", "--model", "local/one"];
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.config.models.default_model.as_deref(), Some("local/one"));
    }
}
