//! Starts Skein and ends it in order.

use std::process::ExitCode;

use clap::Parser;
use server::config::Config;
use server::{start, telemetry};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    // Inside a sandbox this same program is the init; then this never returns.
    #[cfg(feature = "embedded")]
    orchestrator::sidecar::run_if_asked();
    let config = Config::parse();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", app::error::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    telemetry::init(&config.log.filter, config.log.format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let server = tokio::select! {
            started = start::start(config) => started?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        };
        println!("Skein is ready: {}", server.address());
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("stopping; once more to stop at once");
            tokio::spawn(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                std::process::exit(130);
            });
        };
        server.run_until(stop).await;
        Ok(())
    })
}
