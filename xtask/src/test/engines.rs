//! Container engines of our own for the time of a test run: Docker, with gVisor, and Podman.

mod image;
mod namespace;
mod settings;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::console::{self, Step};
use crate::interrupt;
use crate::job::{self, Service};
use crate::tools::ContainerEngines;
use crate::workspace::Workspace;
use namespace::Namespace;

/// Names the folder whose `bin` holds the engines that there are, to the tests.
pub(super) const ENGINES: &str = "SKEIN_TEST_ENGINES";

const PATIENCE: Duration = Duration::from_secs(60);
/// The programs that the tests call.
const PROGRAMS: [&str; 2] = ["docker", "podman"];

/// The engines; dropping them removes all their containers, ends them, and removes the folder.
#[derive(Debug)]
pub(super) struct Engines {
    folder: PathBuf,
    namespace: Option<Namespace>,
    dockerd: Option<Service>,
    missing: Vec<String>,
}

impl Engines {
    /// Starts what can be started.
    ///
    /// # Errors
    /// When that is nothing.
    pub(super) fn start(workspace: &Workspace) -> Result<Self> {
        let programs = ContainerEngines::ensure()?;
        // Not the person's own folder for temporary files: a socket's path has room for 107 bytes.
        let folder = PathBuf::from(format!("/tmp/skein-engines-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
        let mut engines = Self { folder, namespace: None, dockerd: None, missing: Vec::new() };
        let step = Step::start("container engines");
        engines.begin(workspace, &programs)?;
        step.done();
        Ok(engines)
    }

    /// What tests find them in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Which could not be started, and why, a line each.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    fn begin(&mut self, workspace: &Workspace, programs: &ContainerEngines) -> Result<()> {
        fs::create_dir_all(workspace.scratch())?;
        let log = workspace.scratch().join("container-engines.log");
        let output = File::create(&log)?;
        fs::create_dir(self.folder.join("bin"))?;
        let images = image::make(programs, &self.folder)?;
        let namespace = Namespace::open(&self.folder, &output)
            .with_context(|| format!("their words are in {}", log.display()))?;
        let flag = namespace.flag();
        self.namespace = Some(namespace);

        let docker = self
            .start_dockerd(programs, &flag, &output)
            .with_context(|| format!("its words are in {}", log.display()))
            .and_then(|()| self.import("docker", &images));
        self.judge("docker", docker)?;
        let podman = settings::podman(programs, &self.folder, &flag)
            .and_then(|()| self.import("podman", &images));
        self.judge("podman", podman)?;
        if self.missing.len() == PROGRAMS.len() {
            bail!("{}", self.missing.join("; "));
        }
        Ok(())
    }

    fn start_dockerd(
        &mut self,
        programs: &ContainerEngines,
        namespace: &str,
        output: &File,
    ) -> Result<()> {
        let daemon = settings::docker(programs, &self.folder)?;
        let mut command = Command::new("nsenter");
        command.arg(namespace).arg("--").arg(daemon.get_program()).args(daemon.get_args());
        command.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdout(output.try_clone()?).stderr(output.try_clone()?);
        let answers = || job::succeeds(self.call("docker").arg("version"));
        let mut dockerd = Service::start(&mut command)?;
        let ready = wait_until("dockerd", &mut dockerd, answers);
        self.dockerd = Some(dockerd);
        ready
    }

    fn import(&self, program: &str, images: &[(&str, PathBuf)]) -> Result<()> {
        for (name, archive) in images {
            job::capture(self.call(program).arg("import").arg(archive).arg(name))?;
        }
        Ok(())
    }

    /// A call of an engine, which may hang but not for ever.
    fn call(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60"]).arg(self.program(program));
        command
    }

    fn program(&self, program: &str) -> PathBuf {
        self.folder.join("bin").join(program)
    }

    fn judge(&mut self, program: &str, started: Result<()>) -> Result<()> {
        if let Err(error) = started {
            interrupt::check()?;
            // Whatever is in that folder, tests take for an engine that works.
            fs::remove_file(self.program(program)).ok();
            let words = format!("{error:#}").replace('\n', " ");
            self.missing.push(format!("{program} could not be started: {words}"));
        }
        Ok(())
    }

    fn remove_containers(&self, program: &str) -> Result<()> {
        let all = job::capture(self.call(program).args(["ps", "--all", "--quiet"]))?;
        let all: Vec<&str> = all.split_whitespace().collect();
        if !all.is_empty() {
            job::capture(self.call(program).args(["rm", "--force"]).args(all))?;
        }
        Ok(())
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        for program in PROGRAMS.iter().filter(|program| self.program(program).exists()) {
            if let Err(error) = self.remove_containers(program) {
                console::complain(&format!("containers may have been left behind: {error:#}"));
            }
        }
        if let Some(mut dockerd) = self.dockerd.take() {
            drop(dockerd.stop(Signal::TERM));
        }
        // What they have mounted goes with it.
        drop(self.namespace.take());
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            console::complain(&format!("{} is left behind: {error}", self.folder.display()));
        }
    }
}

/// Waits until a service is ready; an error when it ends before, or takes too long.
fn wait_until(what: &str, service: &mut Service, mut is_ready: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !is_ready() {
        interrupt::check()?;
        if let Some(status) = service.ended()? {
            bail!("{what} ended at once with {status}");
        }
        if started.elapsed() > PATIENCE {
            bail!("{what} is not ready after {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
