//! Runs commands, and ends them with all that they started.

mod lasting;
mod output;
mod program;
mod routes;
mod stream;
mod tree;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use sandbox_sdk::types::{ErrorCode, Exec, ExecResult};
use tokio::{
    net::unix::pipe,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    HOME, Role, SidecarConfig, WORKSPACE,
    api::Problem,
    guard::Guard,
    outlet::{self, Outlet},
    reaper::Reaper,
    shared_memory,
};
pub(super) use lasting::{Ends, Lasting};
use output::{Output, receiver};
pub(super) use program::{DEFAULT_TIMEOUT, MAX_TIMEOUT, Program, shell};
pub(super) use routes::routes;
use tree::Tree;

/// Bytes kept of each of standard output and standard error.
const MAX_OUTPUT: usize = 1 << 20;
/// Commands of one sandbox at the same time.
const MAX_RUNNING: usize = 64;

const TIMED_OUT: i32 = 124;
/// 128 + the number of the signal that cannot be caught.
const KILLED: i32 = 137;
pub(crate) const PATH: &str = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin";

#[derive(Clone)]
pub(crate) struct CommandRunner {
    config: Arc<SidecarConfig>,
    reaper: Reaper,
    guard: Arc<Guard>,
    places: Arc<Semaphore>,
    outlet: Outlet,
}

/// What a program gave.
#[derive(Debug)]
pub(super) struct Ended {
    /// 124 after a time-out, 128 + n after signal n.
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// There was more output than is kept.
    pub(super) truncated: bool,
    pub(super) timed_out: bool,
    /// Milliseconds.
    pub(super) duration: u64,
}

/// A command that was started.
struct Spawned {
    tree: Tree,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl From<Ended> for ExecResult {
    fn from(ended: Ended) -> Self {
        Self {
            exit_code: ended.code,
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
            duration: ended.duration,
            truncated: ended.truncated,
            timed_out: ended.timed_out,
        }
    }
}

impl CommandRunner {
    pub(super) fn new(config: Arc<SidecarConfig>, reaper: Reaper, guard: Arc<Guard>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_RUNNING));
        Self { config, reaper, guard, places, outlet: Outlet::default() }
    }

    /// The way to the network, as programs are told of it.
    pub(super) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Where a command with this environment of its own finds programs.
    fn path<'a>(&'a self, env: &'a BTreeMap<String, String>) -> &'a str {
        let given = env.get("PATH").or_else(|| self.config.env.get("PATH"));
        given.map_or(PATH, String::as_str)
    }

    /// Runs a command to its end, or to its time-out. Dropping the future kills the command.
    pub(crate) async fn run(&self, exec: Exec) -> Result<ExecResult, Problem> {
        let program = Program::of_shell(exec)?;
        Ok(self.perform(&program, MAX_OUTPUT).await?.into())
    }

    /// The same for a program, of each of whose outputs at most so many bytes are kept.
    pub(super) async fn perform(&self, program: &Program, most: usize) -> Result<Ended, Problem> {
        self.perform_as(program, true, most).await
    }

    /// The same for one that gets its own environment and nothing of the sandbox's.
    pub(super) async fn perform_apart(
        &self,
        program: &Program,
        most: usize,
    ) -> Result<Ended, Problem> {
        self.perform_as(program, false, most).await
    }

    async fn perform_as(
        &self,
        program: &Program,
        inherit: bool,
        most: usize,
    ) -> Result<Ended, Problem> {
        let (folder, limit) = program.check()?;
        let _place = self.place()?;
        let mut command = self.prepare(program, &folder, self.guard.room().await)?;
        if !inherit {
            command.env_clear().envs(&program.env);
        }
        let (started, stops) = (Instant::now(), self.guard.stops());
        let Spawned { mut tree, stdout, stderr } = self.spawn(&mut command)?;
        let (mut stdout, mut stderr) =
            (Output::collect(stdout, most), Output::collect(stderr, most));
        let code = timeout(limit, tree.end()).await.ok();
        if code.is_none() {
            tree.kill();
        }
        let (stdout, cut_stdout) = stdout.finish().await;
        let (mut stderr, cut_stderr) = stderr.finish().await;
        if let Some(reason) = self.why_ended(stops, code) {
            let newline = if stderr.is_empty() || stderr.ends_with(b"\n") { "" } else { "\n" };
            stderr.extend_from_slice(format!("{newline}{reason}\n").as_bytes());
        }
        Ok(Ended {
            code: code.unwrap_or(TIMED_OUT),
            stdout,
            stderr,
            truncated: cut_stdout || cut_stderr,
            timed_out: code.is_none(),
            duration: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// A place among those that run.
    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let words = format!("{MAX_RUNNING} commands run in this sandbox already");
            Problem::new(ErrorCode::QuotaExceeded, words)
        })
    }

    /// Why a command ended, when it was the sandbox that ended it; no code: by its time-out. What it
    /// left of shared memory goes then, where its memory may have been the reason: nothing could be
    /// started again if that were full.
    fn why_ended(&self, stops: u64, code: Option<i32>) -> Option<String> {
        if code.is_none_or(|code| code == KILLED) {
            shared_memory::remove_orphans();
        }
        let killed = (code == Some(KILLED)).then(|| self.killed());
        self.guard.stopped_since(stops).or(killed)
    }

    fn killed(&self) -> String {
        let memory = self.config.limits.memory_mb;
        format!("Killed. If nothing in the sandbox did it, its {memory} MB of memory were used up.")
    }

    fn prepare(
        &self,
        program: &Program,
        folder: &Path,
        largest_file: u64,
    ) -> Result<Command, Problem> {
        let input = program.input.as_ref().map(|input| input.try_clone()).transpose();
        let input = input.map_err(|error| {
            Problem::new(ErrorCode::Unavailable, format!("the input cannot be opened: {error}"))
        })?;
        let mut command = self.supervised(largest_file, &program.env);
        command.args(&program.words).current_dir(folder);
        command.stdin(input.map_or_else(Stdio::null, Stdio::from));
        Ok(command)
    }

    /// The beginning of a command line; the program and its arguments follow.
    fn supervised(&self, largest_file: u64, env: &BTreeMap<String, String>) -> Command {
        let (program, arguments) = super::itself();
        let mut command = Command::new(program);
        command.args(arguments);
        command.args([super::ARGUMENT, Role::Supervise.as_str(), &largest_file.to_string()]);
        let defaults = [
            ("HOME", HOME),
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("USER", "agent"),
            ("SHELL", shell()),
            // Clients ask a shell for it, to make their relative paths whole.
            ("AGENT_WORKSPACE_ROOT", WORKSPACE),
        ];
        command.current_dir(WORKSPACE).env_clear();
        command.envs(defaults).envs(self.outlet.environment());
        command.envs(&self.config.env).envs(env);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts an agent, which is talked to over its pipes, in the workspace.
    pub(super) async fn start(
        &self,
        program: &[impl AsRef<OsStr>],
        env: &BTreeMap<String, String>,
    ) -> io::Result<Started> {
        let mut command = self.supervised(self.guard.room().await, env);
        command.envs(outlet::exceptions(&self.config.env));
        command.args(program).stdin(Stdio::piped());
        let stops = self.guard.stops();
        let child = command.spawn()?;
        let root = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let ended = self.reaper.watch(root);
        self.guard.wake();
        let missing = || io::Error::other("no pipe");
        Ok(Started {
            root,
            ended,
            stdin: child.stdin.ok_or_else(missing)?.into(),
            stdout: child.stdout.ok_or_else(missing)?.into(),
            stderr: child.stderr.ok_or_else(missing)?.into(),
            stops,
        })
    }

    /// Why a started program ended, when it was the sandbox that ended it.
    pub(super) fn why_stopped(&self, stops: u64, code: Option<u8>) -> Option<String> {
        self.why_ended(stops, code.map(i32::from))
    }

    fn spawn(&self, command: &mut Command) -> Result<Spawned, Problem> {
        let cannot = |error: io::Error| {
            let code = match error.kind() {
                ErrorKind::ArgumentListTooLong
                | ErrorKind::PermissionDenied
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory => ErrorCode::Validation,
                _ => ErrorCode::Unavailable,
            };
            Problem::new(code, format!("the command cannot be started there: {error}"))
        };
        let child = command.spawn().map_err(cannot)?;
        let root = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let tree = Tree::new(root, self.reaper.watch(root));
        self.guard.wake();
        let stdout = receiver(child.stdout).map_err(cannot)?;
        let stderr = receiver(child.stderr).map_err(cannot)?;
        Ok(Spawned { tree, stdout, stderr })
    }
}

/// A program that runs below a supervisor of its own.
pub(super) struct Started {
    /// The supervisor.
    pub(super) root: i32,
    /// Its exit code, which is the program's.
    pub(super) ended: tokio::sync::oneshot::Receiver<u8>,
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// For [`CommandRunner::why_stopped`].
    pub(super) stops: u64,
}
