//! A sandbox for a test, and what one asks it.

use std::{ops::Range, path::PathBuf, time::Duration};

use orchestrator::{
    driver::{Bubblewrap, Driver, DriverOptions, Limits, RunningSandbox, SandboxSpec},
    sidecar::SidecarError,
};
use sandbox_sdk::types::{Exec, ExecResult, ReadFile, WriteFile};
use tempfile::TempDir;

/// The program that runs as the sandbox's init: where the ordinary user's tests find their copy, or
/// where Cargo put it.
pub(crate) const SIDECAR_VARIABLE: &str = "SKEIN_TEST_SIDECAR";

pub(crate) fn sidecar_binary() -> PathBuf {
    std::env::var_os(SIDECAR_VARIABLE)
        .map_or_else(|| env!("CARGO_BIN_EXE_orchestrator").into(), PathBuf::from)
}

pub(crate) async fn driver() -> Bubblewrap {
    driver_with(DriverOptions::default().uid_pool).await
}

/// For uids that no other test's sandboxes have.
pub(crate) async fn driver_with(uid_pool: Range<u32>) -> Bubblewrap {
    let options = DriverOptions { sidecar_binary: Some(sidecar_binary()), uid_pool };
    Bubblewrap::probe(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A sandbox with its folder on the host. The folder is below one that only its owner may enter.
pub(crate) struct Sandbox {
    pub(crate) running: RunningSandbox,
    pub(crate) folder: TempDir,
}

pub(crate) fn spec(folder: &TempDir) -> SandboxSpec {
    SandboxSpec {
        id: "sandbox-test".into(),
        root: folder.path().join("data/sandboxes/sandbox-test"),
        image: None,
        env: Default::default(),
        limits: Limits::default(),
        demo_pace: Duration::ZERO,
        agents: Vec::new(),
        patience: Default::default(),
    }
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut SandboxSpec)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(&folder);
        change(&mut spec);
        let running = driver().await.start(&spec).await.unwrap_or_else(|error| panic!("{error}"));
        Self { running, folder }
    }

    pub(crate) async fn limited(limits: Limits) -> Self {
        Self::with(|spec| spec.limits = limits).await
    }

    pub(crate) async fn exec(&self, exec: Exec) -> Result<ExecResult, SidecarError> {
        self.running.sidecar().exec(exec).await
    }

    /// Runs a command to its end.
    pub(crate) async fn sh(&self, command: &str) -> ExecResult {
        let exec = Exec { command: command.into(), timeout: Some(60_000), ..Exec::default() };
        self.exec(exec).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Standard output of a command that must succeed.
    pub(crate) async fn output(&self, command: &str) -> String {
        let result = self.sh(command).await;
        assert_eq!(result.exit_code, 0, "{command}: {result:?}");
        result.stdout.trim().to_owned()
    }

    /// Standard error of a command that must fail.
    pub(crate) async fn refusal(&self, command: &str) -> String {
        let result = self.sh(command).await;
        assert_ne!(result.exit_code, 0, "{command} should fail: {result:?}");
        result.stderr
    }

    pub(crate) async fn read(&self, path: &str) -> Result<String, SidecarError> {
        let request = ReadFile { path: path.into(), encoding: None };
        self.running.sidecar().read(&request).await.map(|file| file.content)
    }

    pub(crate) async fn write(&self, path: &str, content: &str) -> Result<u64, SidecarError> {
        let request =
            WriteFile { path: path.into(), content: content.into(), ..WriteFile::default() };
        self.running.sidecar().write(&request).await
    }

    /// Processes in the sandbox besides the sidecar, once that many are left or the patience ends.
    pub(crate) async fn processes_left(&self) -> usize {
        for _ in 0..1200 {
            if self.running.sidecar().health().await.unwrap().processes == 1 {
                return 0;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.running.sidecar().health().await.unwrap().processes - 1
    }

    /// The sandbox's folder on the host.
    pub(crate) fn on_host(&self, path: &str) -> PathBuf {
        self.folder.path().join("data/sandboxes/sandbox-test").join(path)
    }
}

/// The status of a refused request.
pub(crate) fn status<T: std::fmt::Debug>(result: Result<T, SidecarError>) -> u16 {
    match result {
        Err(SidecarError::Refused { status, .. }) => status,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A number of seconds to sleep that no other process on this machine sleeps.
pub(crate) fn unique_sleep() -> String {
    let name = tempfile::NamedTempFile::new().unwrap();
    let sum: u64 = name
        .path()
        .to_string_lossy()
        .bytes()
        .fold(7, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
    (100_000_000 + sum % 800_000_000).to_string()
}

/// Processes of this machine that have the word among their arguments.
pub(crate) fn processes_with(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    arguments
        .filter(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
        .count()
}

/// Waits until a process has the word among its arguments.
pub(crate) async fn there(word: &str) -> bool {
    for _ in 0..2400 {
        if processes_with(word) > 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}

/// Waits until no process has the word among its arguments.
pub(crate) async fn gone(word: &str) -> bool {
    for _ in 0..2400 {
        if processes_with(word) == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
