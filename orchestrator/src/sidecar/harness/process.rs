//! An agent's process, with all that it starts.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::Signal;
use sandbox_sdk::types::TurnError;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    super::{commands::CommandRunner, process_tree},
    problem, random_hex,
};
use crate::agents::Cli;

/// Longest line that is taken from an agent; a longer one is dropped.
const MAX_LINE: usize = 16 << 20;
/// Lines that an agent may be ahead.
const AHEAD: usize = 64;
/// What is kept of standard error: its end.
const MAX_ERRORS: usize = 2048;
/// How long what was printed before the end may take to arrive. A process that was left behind may hold
/// the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);
/// How long an agent may take to end when it is no longer needed.
const EXIT_GRACE: Duration = Duration::from_secs(3);

/// Environment variable that all processes of one agent have.
const MARKER: &str = "SKEIN_AGENT";

/// Dropping it kills the agent with all that it started.
pub(super) struct AgentProcess {
    cli: Cli,
    commands: CommandRunner,
    marker: String,
    root: i32,
    ended: oneshot::Receiver<u8>,
    exit: Option<u8>,
    stops: u64,
    input: Option<mpsc::UnboundedSender<String>>,
    lines: mpsc::Receiver<String>,
    errors: Arc<Mutex<Vec<u8>>>,
    left: bool,
}

impl AgentProcess {
    pub(super) async fn start(
        cli: Cli,
        commands: &CommandRunner,
        program: &[impl AsRef<OsStr>],
        mut env: BTreeMap<String, String>,
    ) -> Result<Self, TurnError> {
        let cannot = |error: io::Error| {
            problem("AGENT_NOT_STARTED", format!("{} cannot be started: {error}", cli.name()))
        };
        let id = random_hex().map_err(cannot)?;
        env.insert(MARKER.to_owned(), id.clone());
        let started = commands.start(program, &env).await.map_err(cannot)?;
        let (sender, lines) = mpsc::channel(AHEAD);
        let (input, queue) = mpsc::unbounded_channel();
        let errors = Arc::default();
        let process = Self {
            cli,
            commands: commands.clone(),
            marker: format!("{MARKER}={id}"),
            root: started.root,
            ended: started.ended,
            exit: None,
            stops: started.stops,
            input: Some(input),
            lines,
            errors: Arc::clone(&errors),
            left: false,
        };
        write_lines(started.stdin, queue).map_err(cannot)?;
        read_lines(started.stdout, sender).map_err(cannot)?;
        keep_end(started.stderr, errors).map_err(cannot)?;
        Ok(process)
    }

    /// Sends a line. An agent that has ended is noticed when its next line is waited for.
    pub(super) fn send(&self, line: String) {
        if let Some(input) = &self.input {
            input.send(line).ok();
        }
    }

    /// The next line, or nothing once the agent has ended. May be dropped without losing a line.
    pub(super) async fn line(&mut self) -> Option<String> {
        if self.exit.is_none() {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => return Some(line),
                code = &mut self.ended => self.exit = Some(code.unwrap_or(u8::MAX)),
            }
        }
        timeout(DRAIN, self.lines.recv()).await.ok().flatten()
    }

    /// Drops what was said and not read: it belongs to a turn that is over.
    pub(super) fn forget_lines(&mut self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// Whether the agent runs, as far as is known.
    pub(super) fn is_alive(&mut self) -> bool {
        if self.exit.is_none()
            && let Ok(code) = self.ended.try_recv()
        {
            self.exit = Some(code);
        }
        self.exit.is_none()
    }

    /// Why the agent is silent for good, in words.
    pub(super) fn died(&self) -> TurnError {
        let name = self.cli.name();
        if let Some(reason) = self.commands.why_stopped(self.stops, self.exit) {
            return problem("AGENT_DIED", format!("{name} was ended. {reason}"));
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = String::from_utf8_lossy(&errors);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(": {}", line.trim())).unwrap_or_default();
        let message = match self.exit {
            Some(code) => format!("{name} ended unexpectedly with code {code}{last}"),
            None => format!("{name} does not answer any more{last}"),
        };
        problem("AGENT_DIED", message)
    }

    /// Kills the agent with all that it started.
    pub(super) fn kill(&mut self) {
        self.left = true;
        if self.is_alive() {
            process_tree::kill(self.root);
        }
        // What outlived its parents.
        process_tree::kill_marked(&self.marker);
    }

    /// Lets the agent end by itself. What it left running in the background may go on.
    pub(super) async fn close(mut self) {
        self.input = None;
        if self.is_alive() {
            process_tree::send_to_first_child(self.root, Signal::TERM);
            if timeout(EXIT_GRACE, &mut self.ended).await.is_err() {
                self.kill();
            }
        }
        self.left = true;
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        if !self.left {
            self.kill();
        }
    }
}

/// Writes in a task of its own, so that an agent that reads nothing holds up nobody.
fn write_lines(pipe: OwnedFd, mut queue: mpsc::UnboundedReceiver<String>) -> io::Result<()> {
    let mut pipe = pipe::Sender::from_owned_fd(pipe)?;
    tokio::spawn(async move {
        while let Some(mut line) = queue.recv().await {
            line.push('\n');
            if pipe.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    Ok(())
}

fn read_lines(pipe: OwnedFd, lines: mpsc::Sender<String>) -> io::Result<()> {
    let mut pipe = BufReader::new(pipe::Receiver::from_owned_fd(pipe)?);
    tokio::spawn(async move {
        let (mut line, mut dropped) = (Vec::new(), false);
        loop {
            let buffer = match pipe.fill_buf().await {
                Ok(buffer) if !buffer.is_empty() => buffer,
                _ => break,
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (piece, used) = match end {
                Some(end) => (&buffer[..end], end + 1),
                None => (buffer, buffer.len()),
            };
            dropped |= line.len() + piece.len() > MAX_LINE;
            if !dropped {
                line.extend_from_slice(piece);
            }
            pipe.consume(used);
            if end.is_some() {
                let text = String::from_utf8_lossy(&line).into_owned();
                line.clear();
                // Once nobody reads lines any more, they are still taken: a full pipe would hang it.
                if !std::mem::take(&mut dropped) && !text.trim().is_empty() {
                    lines.send(text).await.ok();
                }
            }
        }
    });
    Ok(())
}

fn keep_end(pipe: OwnedFd, kept: Arc<Mutex<Vec<u8>>>) -> io::Result<()> {
    let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let superfluous = kept.len().saturating_sub(MAX_ERRORS);
            kept.drain(..superfluous);
        }
    });
    Ok(())
}
