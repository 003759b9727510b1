//! An engine, called by its command line.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

use super::ContainersConfig;
use crate::{
    driver::{DriverError, DriverKind},
    sidecar::calls::KEY_VARIABLE,
};

/// What an engine's program needs to find its engine. Nothing else of the orchestrator's environment,
/// which holds secrets, reaches it.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "REGISTRY_AUTH_FILE",
];
/// For questions.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of each of its outputs; a longer one is cut off, and makes no sense then.
const MAX_OUTPUT: u64 = 4 << 20;
/// Of what it complains.
const MAX_WORDS: usize = 2000;

/// Docker or Podman.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) name: &'static str,
    program: PathBuf,
}

impl Engine {
    pub(super) fn new(kind: DriverKind, config: &ContainersConfig) -> Self {
        let (name, program) = match kind {
            DriverKind::Podman => ("podman", &config.podman),
            // gVisor is a runtime of Docker's.
            _ => ("docker", &config.docker),
        };
        Self { name, program: program.clone().unwrap_or_else(|| name.into()) }
    }

    pub(super) fn is_podman(&self) -> bool {
        self.name == "podman"
    }

    /// What it answers, as text.
    pub(super) async fn call(
        &self,
        arguments: &[impl AsRef<OsStr>],
        patience: Duration,
    ) -> Result<String, DriverError> {
        self.run(self.command(arguments), patience).await
    }

    /// The same, with the sidecar's key in the program's environment.
    pub(super) async fn call_with_key(
        &self,
        arguments: &[impl AsRef<OsStr>],
        key: &str,
        patience: Duration,
    ) -> Result<String, DriverError> {
        let mut command = self.command(arguments);
        command.env(KEY_VARIABLE, key);
        self.run(command, patience).await
    }

    /// What it answers to a question for JSON.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        arguments: &[&str],
    ) -> Result<T, DriverError> {
        let text = self.call(arguments, PATIENCE).await?;
        serde_json::from_str(&text)
            .map_err(|error| self.error(format!("its answer makes no sense: {error}")))
    }

    /// What it prints to standard error when it answers.
    pub(super) async fn call_for_errors(&self, arguments: &[&str]) -> Option<String> {
        let output = timeout(PATIENCE, output(self.command(arguments))).await.ok()?.ok()?;
        Some(beginning(&output.stderr))
    }

    /// What a runtime of the engine says of itself.
    pub(super) async fn version_of(&self, runtime: &Path) -> Option<String> {
        let mut command = Command::new(runtime);
        command.arg("--version").env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let output = timeout(PATIENCE, output(command)).await.ok()?.ok()?;
        Some(beginning(&output.stdout))
    }

    /// It is not an engine of this machine.
    pub(super) fn elsewhere(&self, endpoint: &str) -> DriverError {
        DriverError::EngineElsewhere { engine: self.name, endpoint: endpoint.to_owned() }
    }

    pub(super) fn error(&self, said: impl Into<String>) -> DriverError {
        DriverError::Engine { engine: self.name, said: said.into() }
    }

    fn missing(&self) -> DriverError {
        let configured = self.program.as_os_str() != self.name;
        let program = configured.then(|| self.program.clone());
        DriverError::EngineMissing { engine: self.name, program }
    }

    pub(super) fn no_image(&self, name: &str) -> DriverError {
        DriverError::NoImage { engine: self.name, image: name.to_owned() }
    }

    fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    }

    async fn run(&self, command: Command, patience: Duration) -> Result<String, DriverError> {
        let output = timeout(patience, output(command)).await;
        let output = output
            .map_err(|_| self.error(format!("no answer within {} s", patience.as_secs())))?
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => self.missing(),
                _ => self.error(format!("{}: {error}", self.program.display())),
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let words = beginning(&output.stderr);
        Err(self.error(if words.is_empty() { output.status.to_string() } else { words }))
    }
}

/// Waits for its end. Whoever says more than is kept is hung up on.
async fn output(mut command: Command) -> io::Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(kept(stdout), kept(stderr))?;
    Ok(Output { status: child.wait().await?, stdout, stderr })
}

async fn kept(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT).read_to_end(&mut text).await?;
    }
    Ok(text)
}

/// In one line: some of it comes out of a container.
fn beginning(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MAX_WORDS).map(plain).collect()
}
