//! The orchestrator alone: configuration, log, start, and an orderly end. And what it would find and
//! reach if it were started.

use std::process::ExitCode;

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
            eprintln!("orchestrator: {error:#}");
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
    let lines: SpanLayer = match cli.log_format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let (spans, traces) = cli.traces.begin(runtime)?.unzip();
    let layers: Vec<_> = [lines].into_iter().chain(spans).collect();
    tracing_subscriber::registry().with(layers).init();
    Ok(traces)
}
