//! Runs commands, and ends them with all that they started.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sandbox_sdk::types::{ErrorCode, Exec, ExecResult};
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::watch, time::timeout};

use super::{
    BINARY_PATH, HOME, Role, SidecarConfig, WORKSPACE, api::Problem, guard::Guard,
    is_variable_name, process_tree, reaper::Reaper,
};

/// Bytes kept of each of standard output and standard error.
const MAX_OUTPUT: usize = 1 << 20;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// The kernel takes no longer argument.
const MAX_COMMAND: usize = 128 * 1024 - 1;
/// How long to wait for the end of output that a process in the background may hold open.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

const TIMED_OUT: i32 = 124;
/// 128 + the number of the signal that cannot be caught.
const KILLED: i32 = 137;
pub(crate) const PATH: &str = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin";

#[derive(Clone)]
pub(crate) struct CommandRunner {
    config: Arc<SidecarConfig>,
    reaper: Reaper,
    guard: Arc<Guard>,
}

impl CommandRunner {
    pub(super) fn new(config: Arc<SidecarConfig>, reaper: Reaper, guard: Arc<Guard>) -> Self {
        Self { config, reaper, guard }
    }

    /// Runs a command to its end, or to its time-out. Dropping the future kills the command.
    pub(crate) async fn run(&self, exec: &Exec) -> Result<ExecResult, Problem> {
        let limit = match exec.timeout {
            None => DEFAULT_TIMEOUT,
            Some(0) => return Err(Problem::invalid("timeout must be at least 1 millisecond")),
            Some(millis) => Duration::from_millis(millis).min(MAX_TIMEOUT),
        };
        let mut command = self.prepare(exec, self.guard.room().await)?;
        let (started, stops) = (Instant::now(), self.guard.stops());
        let mut tree = self.spawn(&mut command)?;
        let (code, timed_out) = match timeout(limit, &mut tree.ended).await {
            Ok(code) => (code.map_or(TIMED_OUT, i32::from), false),
            Err(_) => {
                tree.kill();
                (TIMED_OUT, true)
            }
        };
        tree.over = true;
        let (stdout, cut_stdout) = tree.stdout.finish().await;
        let (mut stderr, cut_stderr) = tree.stderr.finish().await;
        let killed = (code == KILLED && !timed_out).then(|| self.killed());
        if let Some(reason) = self.guard.stopped_since(stops).or(killed) {
            let newline = if stderr.is_empty() || stderr.ends_with('\n') { "" } else { "\n" };
            stderr.push_str(&format!("{newline}{reason}\n"));
        }
        Ok(ExecResult {
            exit_code: code,
            stdout,
            stderr,
            duration: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            truncated: cut_stdout || cut_stderr,
            timed_out,
        })
    }

    fn killed(&self) -> String {
        let memory = self.config.limits.memory_mb;
        format!(
            "Killed. Most often that means that the sandbox's {memory} MB of memory were used up."
        )
    }

    fn prepare(&self, exec: &Exec, largest_file: u64) -> Result<Command, Problem> {
        if exec.command.trim().is_empty() {
            return Err(Problem::invalid("command must not be empty"));
        }
        if exec.command.len() > MAX_COMMAND || exec.command.contains('\0') {
            return Err(Problem::invalid("command is too long or holds a zero byte"));
        }
        if let Some((name, _)) =
            exec.env.iter().find(|(name, value)| !is_variable_name(name) || value.contains('\0'))
        {
            return Err(Problem::invalid(format!("env has no valid variable {name:?}")));
        }
        let cwd = working_folder(exec.cwd.as_deref())?;
        let mut command = self.supervised(largest_file, &exec.env);
        command.args([shell(), "-c", &exec.command]).current_dir(cwd).stdin(Stdio::null());
        Ok(command)
    }

    /// The beginning of a command line; the program and its arguments follow.
    fn supervised(&self, largest_file: u64, env: &BTreeMap<String, String>) -> Command {
        let mut command = Command::new(BINARY_PATH);
        command.args([super::ARGUMENT, Role::Supervise.as_str(), &largest_file.to_string()]);
        let defaults = [
            ("HOME", HOME),
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("USER", "agent"),
            ("SHELL", shell()),
        ];
        command.current_dir(WORKSPACE).env_clear();
        command.envs(defaults).envs(&self.config.env).envs(env);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a program that is talked to over its pipes, in the workspace.
    pub(super) async fn start(
        &self,
        program: &[impl AsRef<OsStr>],
        env: &BTreeMap<String, String>,
    ) -> io::Result<Started> {
        let mut command = self.supervised(self.guard.room().await, env);
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
        let killed = code.is_some_and(|code| i32::from(code) == KILLED).then(|| self.killed());
        self.guard.stopped_since(stops).or(killed)
    }

    fn spawn(&self, command: &mut Command) -> Result<Tree, Problem> {
        let cannot = |error: io::Error| {
            Problem::new(ErrorCode::Unavailable, format!("the command cannot be started: {error}"))
        };
        let child = command.spawn().map_err(cannot)?;
        let root = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let ended = self.reaper.watch(root);
        self.guard.wake();
        let output = |pipe: Option<OwnedFd>| Output::collect(pipe).map_err(cannot);
        let stdout = output(child.stdout.map(OwnedFd::from))?;
        let stderr = output(child.stderr.map(OwnedFd::from))?;
        Ok(Tree { root, ended, stdout, stderr, over: false })
    }
}

fn shell() -> &'static str {
    if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }
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

fn working_folder(wanted: Option<&str>) -> Result<PathBuf, Problem> {
    let path = Path::new(WORKSPACE).join(wanted.unwrap_or_default());
    if path.as_os_str().as_encoded_bytes().contains(&0) || !path.is_dir() {
        return Err(Problem::invalid(format!("cwd {} is not a folder", path.display())));
    }
    Ok(path)
}

/// A command that runs, with all its descendants.
struct Tree {
    root: i32,
    ended: tokio::sync::oneshot::Receiver<u8>,
    stdout: Output,
    stderr: Output,
    over: bool,
}

impl Tree {
    fn kill(&mut self) {
        process_tree::kill(self.root);
        self.over = true;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
        }
    }
}

/// The beginning of what a pipe brought. The rest is read and dropped, so that no command hangs on a
/// full pipe, also not one that stays in the background.
struct Output {
    kept: Arc<Mutex<Kept>>,
    closed: watch::Receiver<bool>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
    /// The result was taken: nothing more is kept.
    taken: bool,
}

impl Output {
    fn collect(pipe: Option<OwnedFd>) -> io::Result<Self> {
        let pipe = pipe.ok_or_else(|| io::Error::other("no pipe"))?;
        let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (sender, closed) = watch::channel(false);
        let shared = Arc::clone(&kept);
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MAX_OUTPUT - kept.bytes.len();
                let fitting = count.min(room);
                if !kept.taken {
                    kept.bytes.extend_from_slice(buffer.get(..fitting).unwrap_or_default());
                    kept.truncated |= fitting < count;
                }
            }
            sender.send_replace(true);
        });
        Ok(Self { kept, closed })
    }

    /// All there is once the command has ended.
    async fn finish(&mut self) -> (String, bool) {
        timeout(OUTPUT_GRACE, self.closed.wait_for(|closed| *closed)).await.ok();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.taken = true;
        let bytes = std::mem::take(&mut kept.bytes);
        (String::from_utf8_lossy(&bytes).into_owned(), kept.truncated)
    }
}
