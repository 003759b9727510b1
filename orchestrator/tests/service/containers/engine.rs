//! The engines that there are.

use std::path::PathBuf;

use orchestrator::{Config, driver::DriverKind};
use tokio::process::Command;

use crate::support::Product;

/// Names the folder whose `bin` holds them.
const ENGINES: &str = "SKEIN_TEST_ENGINES";
/// A shell and its tools, and no library.
pub(super) const IMAGE: &str = "skein-test:busybox";
/// Nothing that could be run.
pub(super) const EMPTY: &str = "skein-test:empty";

/// An engine with two images.
pub(super) struct Engine {
    pub(super) kind: DriverKind,
    folder: PathBuf,
}

impl Engine {
    /// The engine of the driver. `None`: there is none, and the test has said so.
    pub(super) async fn find(kind: DriverKind) -> Option<Self> {
        let Some(folder) = std::env::var_os(ENGINES).filter(|folder| !folder.is_empty()) else {
            println!("skipped: {ENGINES} names no folder with container engines");
            return None;
        };
        let engine = Self { kind, folder: folder.into() };
        if !engine.program().is_file() {
            println!("skipped: {ENGINES} has no engine for {}", kind.name());
            return None;
        }
        if kind == DriverKind::Gvisor {
            let runtimes = engine.ask(&["info", "--format", "{{json .Runtimes}}"]).await;
            if !runtimes.contains("\"runsc\"") {
                println!("skipped: gVisor is not registered with Docker");
                return None;
            }
        }
        Some(engine)
    }

    /// An orchestrator whose sandboxes are this engine's containers.
    pub(super) async fn product(&self) -> Product {
        Product::start_with(|config| self.set(config)).await
    }

    /// Makes its driver the only one.
    pub(super) fn set(&self, config: &mut Config) {
        let containers = &mut config.containers;
        containers.drivers = vec![self.kind];
        containers.image = Some(IMAGE.to_owned());
        containers.docker = Some(self.program_of(DriverKind::Docker));
        containers.podman = Some(self.program_of(DriverKind::Podman));
    }

    /// The same for an orchestrator in a process of its own.
    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        let program = |kind| self.program_of(kind).to_str().unwrap().to_owned();
        [
            ("SKEIN_DRIVERS", self.kind.name().to_owned()),
            ("SKEIN_IMAGE", IMAGE.to_owned()),
            ("SKEIN_DOCKER", program(DriverKind::Docker)),
            ("SKEIN_PODMAN", program(DriverKind::Podman)),
        ]
    }

    /// Containers of the sandbox, also those that have ended.
    pub(super) async fn containers(&self, sandbox: &str) -> Vec<String> {
        self.list(sandbox, &["--all"]).await
    }

    /// Containers of the sandbox that run.
    pub(super) async fn running(&self, sandbox: &str) -> Vec<String> {
        self.list(sandbox, &[]).await
    }

    async fn list(&self, sandbox: &str, more: &[&str]) -> Vec<String> {
        let name = format!("name={sandbox}");
        let question = ["ps", "--quiet", "--filter", &name];
        self.ask(&[&question[..], more].concat()).await.lines().map(str::to_owned).collect()
    }

    async fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.program()).args(arguments).output().await.unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn program(&self) -> PathBuf {
        self.program_of(self.kind)
    }

    fn program_of(&self, kind: DriverKind) -> PathBuf {
        let name = if kind == DriverKind::Podman { "podman" } else { "docker" };
        self.folder.join("bin").join(name)
    }
}
