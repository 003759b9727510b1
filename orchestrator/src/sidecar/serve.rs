//! The sidecar as a process: the sandbox's init.

use std::{
    io,
    os::{
        fd::AsFd,
        unix::net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    sync::Arc,
    time::Duration,
};

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tokio::{
    io::Interest,
    net::{UnixListener, unix::pipe},
};

use super::{
    CONFIG_PATH, SidecarConfig,
    agents::Agents,
    api::{self, Services},
    aside::aside,
    calling::{self, Caller},
    commands::CommandRunner,
    dispositions,
    files::{self, FileStore},
    guard::Guard,
    harness::Harness,
    processes::Processes,
    reaper::Reaper,
    terminals::Terminals,
};
use crate::interactions::Broker;

/// How the orchestrator reaches it.
pub(super) enum Reached {
    /// Over a socket that it was handed.
    Listening,
    /// Over connections that it makes itself.
    Calling { key: String, lifeline: StdStream },
}

pub(super) fn run() -> Result<u8, String> {
    let config = std::fs::read(CONFIG_PATH).map_err(|error| format!("{CONFIG_PATH}: {error}"))?;
    let config: SidecarConfig = serde_json::from_slice(&config).map_err(|e| e.to_string())?;
    harden(&config).map_err(|error| error.to_string())?;
    serve(config, Reached::Listening)
}

pub(super) fn serve(config: SidecarConfig, reached: Reached) -> Result<u8, String> {
    // One thread: a sandbox is idle nearly always, and the reaper needs to be alone.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(work(config, reached)).map_err(|error| error.to_string())?;
    Ok(0)
}

/// Keeps what runs inside from looking into the sidecar, and sets the limits that all of it inherits.
pub(super) fn harden(config: &SidecarConfig) -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let limits = &config.limits;
    let values = [
        (Resource::Core, 0),
        (Resource::Nofile, limits.open_files),
        (Resource::Fsize, limits.max_file_mb << 20),
    ];
    // Counted in the sandbox's own user namespace, so other sandboxes do not weigh in.
    let processes = config.has_own_users.then_some((Resource::Nproc, limits.processes));
    for (resource, value) in values.into_iter().chain(processes) {
        let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(ceiling));
        rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })?;
    }
    Ok(())
}

async fn work(config: SidecarConfig, reached: Reached) -> io::Result<()> {
    dispositions::catch_ignored();
    let config = Arc::new(config);
    let guard = Arc::new(Guard::new(config.limits.clone(), config.watch_memory));
    let reaper = Reaper::default();
    let commands = CommandRunner::new(Arc::clone(&config), reaper.clone(), Arc::clone(&guard));
    let files = FileStore::new(Arc::clone(&guard));
    let pace = Duration::from_millis(config.demo_pace_ms);
    let (programs, patience) = (config.agents.clone(), config.patience);
    let harness = Harness::new(commands.clone(), files.clone(), programs, patience);
    let broker = Broker::new(patience.answer);
    let agents = Agents::new(commands.clone(), files.clone(), harness, broker, pace);
    let processes = Processes::new(commands.clone());
    let terminals = Terminals::new(commands.clone());
    let router = api::router(Services { commands, files, agents, processes, terminals });
    let guarded = tokio::spawn(async move { guard.run().await });
    // Looked for before anybody can begin something of the kind.
    let left = files::left_half();
    drop(aside(move || files::remove_left(&left)));
    let serving = async {
        match reached {
            Reached::Listening => tokio::select! {
                served = axum::serve(listener()?, router) => served,
                gone = orchestrator_gone() => gone,
            },
            Reached::Calling { key, lifeline } => tokio::select! {
                served = axum::serve(Caller::new(&key), router) => served,
                gone = calling::broken(lifeline) => gone,
            },
        }
    };
    tokio::select! {
        served = serving => served,
        reaped = reaper.run() => reaped,
        // Nothing runs here that nobody watches.
        ended = guarded => Err(io::Error::other(format!("the limits are not kept: {ended:?}"))),
    }
}

/// The socket was opened by the launcher and handed over as standard input.
fn listener() -> io::Result<UnixListener> {
    let listener = StdListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Standard output is a pipe to the orchestrator: it breaks when the orchestrator is no more.
async fn orchestrator_gone() -> io::Result<()> {
    let pipe = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
    pipe.ready(Interest::ERROR).await.map(drop)
}
