//! Programs that outlive the request which started them: processes and terminals.

use std::{
    io,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use sandbox_sdk::types::ErrorCode;
use tokio::sync::oneshot;

use super::{super::api::Problem, CommandRunner, Program};

/// What a program reads and writes.
#[derive(Debug)]
pub(in crate::sidecar) enum Ends {
    /// Nothing to read; what it writes goes into pipes.
    Output,
    /// Pipes.
    All,
    /// The program's side of a terminal.
    Terminal(OwnedFd),
}

/// A program below a supervisor of its own. Whoever holds this has to end it.
#[derive(Debug)]
pub(in crate::sidecar) struct Lasting {
    /// The supervisor.
    pub(in crate::sidecar) root: i32,
    /// Its exit code, which is the program's.
    pub(in crate::sidecar) ended: oneshot::Receiver<u8>,
    pub(in crate::sidecar) stdin: Option<OwnedFd>,
    pub(in crate::sidecar) stdout: Option<OwnedFd>,
    pub(in crate::sidecar) stderr: Option<OwnedFd>,
    /// For [`CommandRunner::why_stopped`].
    pub(in crate::sidecar) stops: u64,
}

impl CommandRunner {
    /// Starts a program. `inherit`: it gets the sandbox's environment beside its own.
    pub(in crate::sidecar) async fn launch(
        &self,
        program: &Program,
        inherit: bool,
        ends: Ends,
    ) -> Result<Lasting, Problem> {
        let (folder, _) = program.check()?;
        let mut command = self.prepare(program, &folder, self.guard.room().await)?;
        if !inherit {
            command.env_clear().envs(&program.env);
        }
        let stops = self.guard.stops();
        let child = spawn(&mut command, ends).map_err(|error| {
            let words = format!("the program cannot be started: {error}");
            Problem::new(ErrorCode::Unavailable, words)
        })?;
        let root = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let ended = self.reaper.watch(root);
        self.guard.wake();
        Ok(Lasting {
            root,
            ended,
            stdin: child.stdin.map(OwnedFd::from),
            stdout: child.stdout.map(OwnedFd::from),
            stderr: child.stderr.map(OwnedFd::from),
            stops,
        })
    }
}

fn spawn(command: &mut Command, ends: Ends) -> io::Result<Child> {
    match ends {
        Ends::Output => {}
        Ends::All => {
            command.stdin(Stdio::piped());
        }
        Ends::Terminal(end) => {
            command.stdin(end.try_clone()?).stdout(end.try_clone()?).stderr(end);
        }
    }
    command.spawn()
}
