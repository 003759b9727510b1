//! Runs sandboxes.
//!
//! A sandbox is a root of its own with one process in it, the sidecar, which is the sandbox's init.
//! Two folders are the sandbox's: `/workspace` and `/home/agent`. It has no network but its loopback,
//! and never runs with uid 0 of the host: drivers that are started by root give every sandbox an
//! unprivileged uid of its own.
//!
//! [`Bubblewrap`] makes it of Linux namespaces and the host's `/usr`; `Containers` has an engine make
//! a container of an image. Either way, killing a sandbox kills its process namespace, so nothing in it
//! survives, and the sandboxes end with the process that started them, also when that one is killed.

pub(crate) mod bubblewrap;
mod container;
mod enabled;
mod error;
mod folders;
mod ground;
mod kind;
mod limits;
mod report;
mod running;
mod seccomp;
mod uids;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::future::BoxFuture;

pub use bubblewrap::Bubblewrap;
pub use container::ContainersConfig;
pub(crate) use enabled::{Choice, Drivers};
pub use error::DriverError;
pub use ground::DriverOptions;
pub use kind::DriverKind;
pub use limits::Limits;
pub use report::{DriverReport, Enforcement, LimitsInForce};
pub use running::{ExitReason, RunningSandbox};
pub(crate) use seccomp::confine;

use crate::agents::{AgentProgram, Patience};

/// Something that can run sandboxes.
pub trait Driver: std::fmt::Debug + Send + Sync {
    /// How hard sandboxes are isolated and limited here.
    ///
    /// # Errors
    /// When none could be started at the moment, in words that say why and what to do.
    fn report(&self) -> BoxFuture<'_, Result<DriverReport, DriverError>>;

    /// Refuses what no sandbox could be started with: an image that is not there, for one.
    ///
    /// # Errors
    /// In words that say what to do.
    fn check<'a>(&'a self, image: Option<&'a str>) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Gets what a sandbox is made of, which may take long: whoever no longer wants it drops this.
    ///
    /// # Errors
    /// When it can't be had.
    fn fetch<'a>(&'a self, image: Option<&'a str>) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Starts a sandbox of what is there, and waits until its sidecar answers.
    ///
    /// # Errors
    /// When the spec is not valid, the folders cannot be made, no uid is free, or the sandbox does
    /// not come up. Nothing of it is left running then.
    fn start<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<RunningSandbox, DriverError>>;
}

/// What a sandbox is made of.
#[derive(Clone)]
pub struct SandboxSpec {
    /// Names the sandbox in messages and control groups: `[A-Za-z0-9._-]`, at most 64 characters.
    pub id: String,
    /// Folder on the host that holds `workspace/`, `home/` and `run/`. Made when it is missing.
    pub root: PathBuf,
    /// Name of the image that the sandbox's root is made of. Bubblewrap has none.
    pub image: Option<String>,
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
            .field("image", &self.image)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("limits", &self.limits)
            .field("demo_pace", &self.demo_pace)
            .field("agents", &self.agents)
            .field("patience", &self.patience)
            .finish()
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
