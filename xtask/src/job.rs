//! Child processes: quiet unless they fail, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::console::{self, Step};
use crate::interrupt;

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(20);

/// Runs a command as a named step. Its output is shown when it fails, or with `--verbose`.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    let mut step = Step::start(name);
    let mut output = Vec::new();
    let status = follow(command, |line| {
        if let Some(line) = line {
            if console::verbose() {
                console::say(line);
            }
            output.push(line.to_owned());
        }
        step.tick(output.last().map_or("", String::as_str));
    })?;
    if status.success() {
        step.done();
        return Ok(());
    }
    step.failed();
    if !console::verbose() {
        output.iter().for_each(|line| console::say(line));
    }
    bail!("{name}: {} ended with {status}", program(command))
}

/// Runs a command, passes its output on and hands every line to `seen`.
pub(crate) fn pass_through(
    command: &mut Command,
    mut seen: impl FnMut(&str),
) -> Result<ExitStatus> {
    follow(command, |line| {
        if let Some(line) = line {
            println!("{line}");
            seen(line);
        }
    })
}

/// Runs a short command and returns what it printed; an error when it failed.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start {}", program(command)))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", program(command), output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a short command runs and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command to its end; `seen` gets each line of output, and `None` when there was none
/// for a moment.
fn follow(command: &mut Command, mut seen: impl FnMut(Option<&str>)) -> Result<ExitStatus> {
    let (mut service, lines) = Service::start_piped(command)?;
    loop {
        interrupt::check()?;
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => seen(Some(&line)),
            // Something it started may still hold the pipe; the child's own end counts.
            Err(RecvTimeoutError::Timeout) if service.ended()?.is_some() => break,
            Err(RecvTimeoutError::Timeout) => seen(None),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    service.wait()
}

/// A child that runs beside us. Dropping it ends it, and everything it started.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Service {
    /// Starts a command with our own standard output and error.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = program(command);
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self { child, ended: None })
    }

    fn start_piped(command: &mut Command) -> Result<(Self, Receiver<String>)> {
        let mut service = Self::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = service.child.stdout.take() {
            read_lines(output, sender.clone());
        }
        if let Some(output) = service.child.stderr.take() {
            read_lines(output, sender);
        }
        Ok((service, lines))
    }

    /// The status it ended with, or `None` while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if self.ended.is_none() && waitid(WaitId::Pid(self.pid()), look)?.is_some() {
            self.bury()?;
        }
        Ok(self.ended)
    }

    /// Kills what is left of the group, then takes the child's status. In this order: as long as
    /// the child is not waited for, its group's number cannot belong to anybody else.
    fn bury(&mut self) -> Result<()> {
        kill_process_group(self.pid(), Signal::KILL).ok();
        self.ended = Some(self.child.wait()?);
        Ok(())
    }

    /// Waits for it to end; a signal to us ends the wait with an error.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Asks the child itself to end, waits, and kills what is left of its group.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<Option<ExitStatus>> {
        if self.ended()?.is_none() {
            kill_process(self.pid(), signal).ok();
            let asked = Instant::now();
            while self.ended()?.is_none() && asked.elapsed() < GRACE {
                thread::sleep(Duration::from_millis(30));
            }
        }
        if self.ended.is_none() {
            self.bury()?;
        }
        Ok(self.ended)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.stop(Signal::TERM) {
            console::complain(&format!("a process may have been left behind: {error}"));
        }
    }
}

fn read_lines(output: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
}

fn program(command: &Command) -> String {
    let path = std::path::Path::new(command.get_program());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
