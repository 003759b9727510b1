//! The sandbox's init: the same binary as the orchestrator's, started inside.
//!
//! It serves the runtime API (commands, files, agents) on a socket that only the orchestrator can
//! reach, reaps what is left of ended processes, and keeps watch over limits that the kernel does
//! not enforce by itself. [`SidecarClient`] is the orchestrator's end of that socket.

mod agents;
mod api;
mod archive;
mod aside;
mod calling;
pub(crate) mod calls;
mod characters;
mod client;
mod commands;
mod dispositions;
mod events;
mod files;
mod git;
mod guard;
mod harness;
mod message;
mod open_files;
mod outlet;
mod ports;
mod probe;
mod process_tree;
mod processes;
mod reaper;
pub(crate) mod search;
mod serve;
mod shared_memory;
mod signal;
mod supervisor;
mod terminals;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

pub(crate) use api::{MAX_BODY, Problem};
pub(crate) use client::Packed;
pub use client::{SidecarClient, SidecarError};
pub(crate) use commands::{CommandRunner, PATH};
pub(crate) use files::{Entry as FileEntry, FileStore, place::resolve as resolve_path};
pub use message::{AGENT_FINISHED, AgentFinished, AgentRun, FileContent, Health, ModelAccess};
pub(crate) use message::{CloneRepository, Revision};
pub(crate) use probe::{Findings, Kernel};

use crate::{
    agents::{Cli, Patience},
    driver::{Limits, SandboxSpec},
};

/// First argument that makes this binary a part of a sandbox.
pub(crate) const ARGUMENT: &str = "sidecar";

/// Where things are inside a sandbox.
pub(crate) const BINARY_PATH: &str = "/opt/skein/sidecar";
pub(crate) const CONFIG_PATH: &str = "/opt/skein/config.json";
/// In a container: the libraries that the sidecar needs, which the image may not have …
pub(crate) const LIBRARIES: &str = "/opt/skein/lib";
/// … and what loads them.
pub(crate) const LOADER: &str = "/opt/skein/lib/loader";
/// The model gateway's socket.
pub(crate) const MODELS_SOCKET: &str = "/opt/skein/models.sock";
/// The socket of the proxy to the network.
pub(crate) const NETWORK_SOCKET: &str = "/opt/skein/network.sock";
/// Where programs find that proxy on the sandbox's loopback, if the sandbox has a network.
pub(crate) const PROXY_PORT: u16 = 19128;
/// Agents that were installed on the host, read-only.
pub(crate) const AGENTS: &str = "/opt/agents";
pub(crate) const WORKSPACE: &str = "/workspace";
pub(crate) const HOME: &str = "/home/agent";
/// What some clients and images call the home folder.
pub(crate) const OTHER_HOME: &str = "/home/user";

/// What the second argument asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// On the host: become bubblewrap.
    Launch,
    /// The sandbox's init.
    Serve,
    /// The same in a container, which an engine has started.
    Call,
    /// Inside, above one command: keep what it starts together.
    Supervise,
    /// Inside, below that: become the first program in a terminal.
    Terminal,
    /// Inside a throw-away sandbox: look around and tell.
    Probe,
}

impl Role {
    const ALL: [Self; 6] =
        [Self::Launch, Self::Serve, Self::Call, Self::Supervise, Self::Terminal, Self::Probe];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Serve => "serve",
            Self::Call => "call",
            Self::Supervise => "supervise",
            Self::Terminal => "terminal",
            Self::Probe => "probe",
        }
    }
}

/// What the sidecar is told when it starts.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SidecarConfig {
    /// For commands and agents; the sidecar's own environment is empty.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    /// The kernel does not limit memory here.
    pub(crate) watch_memory: bool,
    /// Its uid is counted by itself, so that a resource limit on processes holds for it alone.
    pub(crate) has_own_users: bool,
    pub(crate) demo_pace_ms: u64,
    /// Programs of the agents that are installed, where they are in the sandbox.
    pub(crate) agents: BTreeMap<Cli, PathBuf>,
    pub(crate) patience: Patience,
}

impl SidecarConfig {
    /// What holds with every driver.
    pub(crate) fn of(spec: &SandboxSpec) -> Self {
        Self {
            env: spec.env.clone(),
            limits: spec.limits.clone(),
            watch_memory: false,
            has_own_users: true,
            demo_pace_ms: u64::try_from(spec.demo_pace.as_millis()).unwrap_or(u64::MAX),
            agents: spec.agents.iter().map(|agent| (agent.cli, agent.inside())).collect(),
            patience: spec.patience,
        }
    }
}

/// How this program is started once more, inside: a container has what loads it beside it.
fn itself() -> (&'static str, &'static [&'static str]) {
    static HAS_LOADER: LazyLock<bool> = LazyLock::new(|| Path::new(LOADER).exists());
    if *HAS_LOADER { (LOADER, LOADING) } else { (BINARY_PATH, &[]) }
}

/// Tells the loader to start the sidecar with the libraries beside it, whatever the image has.
pub(crate) const LOADING: &[&str] = &["--inhibit-cache", "--library-path", LIBRARIES, BINARY_PATH];

/// Runs as a part of a sandbox and never returns, when the program's first argument says so.
/// Must be the first call of `main`: a sandbox's init wants to be alone in its process.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT.as_ref()) {
        return;
    }
    let role = arguments.next();
    let role = Role::ALL.into_iter().find(|known| role.as_deref() == Some(known.as_str().as_ref()));
    let outcome = match role {
        Some(Role::Launch) => Err(crate::driver::bubblewrap::launch::run()),
        Some(Role::Serve) => serve::run(),
        Some(Role::Call) => calling::run(),
        Some(Role::Supervise) => supervisor::run(arguments),
        Some(Role::Terminal) => terminals::run_role(arguments),
        Some(Role::Probe) => probe::run(),
        None => Err("this is started by the orchestrator, not by hand".into()),
    };
    let code = outcome.unwrap_or_else(|problem| {
        eprintln!("sidecar: {problem}");
        FAILED
    });
    std::process::exit(i32::from(code));
}

/// Exit code of a part of a sandbox that could not do its work.
const FAILED: u8 = 125;

/// Whether a name can stand in an environment.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
