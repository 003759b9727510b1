//! Runs sandboxes on this machine with bubblewrap.
//!
//! A sandbox is a set of Linux namespaces around one process, the sidecar, which is the sandbox's
//! init. It sees the host's `/usr` read-only, a few files of `/etc`, and two folders of its own:
//! `/workspace` and `/home/agent`. It has no network but its loopback. Started by root, every sandbox
//! gets an unprivileged uid of its own; a sandbox never runs with uid 0 of the host.
//!
//! Killing a sandbox kills its process namespace, so nothing in it survives. The sandboxes die with
//! the process that started them, also when that one is killed.

mod cgroup;
mod error;
mod folders;
pub(crate) mod launch;
mod limits;
mod plan;
mod probe;
mod report;
mod running;
mod seccomp;
mod spawner;
mod uids;

use std::{collections::BTreeMap, ops::Range, path::PathBuf, sync::Arc, time::Duration};

pub use error::DriverError;
pub use limits::Limits;
pub use report::{DriverReport, Enforcement, LimitsInForce};
pub use running::{ExitReason, RunningSandbox};

use crate::{
    agents::{AgentProgram, Patience},
    sidecar::SidecarConfig,
};
use plan::{Bind, LaunchPlan, Payload};

/// Where a driver finds what it needs.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// Program that runs as the sandbox's init when its first argument is `sidecar`.
    /// Absent: the program that asks.
    pub sidecar_binary: Option<PathBuf>,
    /// Unprivileged uids, one for each live sandbox. Used when the driver runs as root.
    pub uid_pool: Range<u32>,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self { sidecar_binary: None, uid_pool: uids::DEFAULT_POOL }
    }
}

/// What a sandbox is made of.
#[derive(Clone)]
pub struct SandboxSpec {
    /// Names the sandbox in messages and control groups: `[A-Za-z0-9._-]`, at most 64 characters.
    pub id: String,
    /// Folder on the host that holds `workspace/`, `home/` and `run/`. Made when it is missing.
    pub root: PathBuf,
    /// Environment of the commands and agents inside.
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
    /// Pause between two pieces of the demo agent's text; zero is as fast as possible.
    pub demo_pace: Duration,
    /// Agents that can be run in it.
    pub agents: Vec<AgentProgram>,
    pub patience: Patience,
}

/// The environment may hold tokens, so only its names are shown.
impl std::fmt::Debug for SandboxSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SandboxSpec")
            .field("id", &self.id)
            .field("root", &self.root)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("limits", &self.limits)
            .field("demo_pace", &self.demo_pace)
            .field("agents", &self.agents)
            .field("patience", &self.patience)
            .finish()
    }
}

/// The driver: what was found on this machine, and the means to start sandboxes.
#[derive(Clone, Debug)]
pub struct Bubblewrap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bwrap: PathBuf,
    sidecar_binary: PathBuf,
    /// `Some` when running as root.
    uids: Option<uids::UidPool>,
    cgroups: cgroup::Hierarchy,
    report: DriverReport,
    spawner: spawner::Spawner,
}

impl Bubblewrap {
    /// Looks for what the driver needs and proves it by starting a throw-away sandbox, which must
    /// find itself alone: own processes, loopback only, no privileges.
    ///
    /// # Errors
    /// When sandboxes cannot be isolated here. The error says why and what to do about it.
    pub async fn probe(options: DriverOptions) -> Result<Self, DriverError> {
        probe::probe(options).await.map(|shared| Self { shared: Arc::new(shared) })
    }

    /// How hard sandboxes are isolated and limited here.
    pub fn report(&self) -> DriverReport {
        self.shared.report.clone()
    }

    /// Starts a sandbox and waits until its sidecar answers.
    ///
    /// # Errors
    /// When the spec is not valid, the folders cannot be made, no uid is free, or the sandbox does
    /// not come up. Nothing of it is left running then.
    pub async fn start(&self, spec: &SandboxSpec) -> Result<RunningSandbox, DriverError> {
        spec.validate()?;
        let shared = Arc::clone(&self.shared);
        let uid = match &shared.uids {
            Some(pool) => Some(pool.take(folders::owner(&spec.root))?),
            None => None,
        };
        folders::prepare(&spec.root, uid.as_ref().map(uids::Lease::uid)).await?;
        let group = shared.cgroups.create(&spec.id, &spec.limits)?;
        let plan = LaunchPlan {
            bwrap: shared.bwrap.clone(),
            sidecar_binary: shared.sidecar_binary.clone(),
            parent: std::process::id(),
            uid: uid.as_ref().map(uids::Lease::uid),
            cgroups: group.folders().to_vec(),
            payload: Payload::Serve {
                root: spec.root.clone(),
                agents: spec.agents.iter().map(Bind::agent).collect(),
                tmpfs_mb: (spec.limits.memory_mb / 4).max(16),
                config: Box::new(SidecarConfig {
                    env: spec.env.clone(),
                    limits: spec.limits.clone(),
                    watch_memory: !shared.cgroups.limits_memory(),
                    demo_pace_ms: u64::try_from(spec.demo_pace.as_millis()).unwrap_or(u64::MAX),
                    agents: spec.agents.iter().map(|agent| (agent.cli, agent.inside())).collect(),
                    patience: spec.patience,
                }),
            },
        };
        running::start(shared, &spec.root, plan, uid, group).await
    }
}

impl SandboxSpec {
    fn validate(&self) -> Result<(), DriverError> {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.id.is_empty() || self.id.len() > 64 || !self.id.chars().all(named) {
            return Err(DriverError::InvalidSpec("the sandbox id is not a plain name".into()));
        }
        if self.id.starts_with('.') {
            return Err(DriverError::InvalidSpec("the sandbox id starts with a dot".into()));
        }
        if !self.root.is_absolute() {
            return Err(DriverError::InvalidSpec("the sandbox folder must be absolute".into()));
        }
        if let Some(name) = self.env.iter().find_map(|(name, value)| {
            (!crate::sidecar::is_variable_name(name) || value.contains('\0')).then_some(name)
        }) {
            return Err(DriverError::InvalidSpec(format!("environment variable {name:?}")));
        }
        self.limits.validate()
    }
}
