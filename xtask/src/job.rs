//! Child processes: quiet unless they fail, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::console::{self, Step};
use crate::interrupt;

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(20);
/// How long what a child has said may take to be read, on a machine with too much to do.
const LAST_WORDS: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });

/// Runs a command as a named step. Its output is shown when it fails, or with `--verbose`.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    run_step(name, Service::start_piped(command)?, command)
}

/// The same for a command that must never be killed: it is asked to end, and waited for.
pub(crate) fn whole_step(name: &str, command: &mut Command) -> Result<()> {
    let (mut service, lines) = Service::start_piped(command)?;
    service.grace = None;
    run_step(name, (service, lines), command)
}

fn run_step(name: &str, started: (Service, Receiver<String>), command: &Command) -> Result<()> {
    let mut step = Step::start(name);
    let mut output = Vec::new();
    let status = follow(started, |line| {
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

/// Runs a command, hands every line of its output to `seen`, and passes on those that it wants shown.
pub(crate) fn pass_through(
    command: &mut Command,
    mut seen: impl FnMut(&str) -> bool,
) -> Result<ExitStatus> {
    follow(Service::start_piped(command)?, |line| {
        if let Some(line) = line.filter(|line| seen(line)) {
            println!("{line}");
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

/// Follows a command to its end; `seen` gets each line of output, and `None` when there was none
/// for a moment.
fn follow(
    (mut service, lines): (Service, Receiver<String>),
    mut seen: impl FnMut(Option<&str>),
) -> Result<ExitStatus> {
    let mut ended: Option<Instant> = None;
    loop {
        interrupt::check()?;
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => seen(Some(&line)),
            Err(RecvTimeoutError::Timeout) if service.ended()?.is_some() => {
                // Something it started may still hold the pipe; the child's own end counts, once its
                // last words have been read.
                if ended.get_or_insert_with(Instant::now).elapsed() >= LAST_WORDS {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => seen(None),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    service.wait()
}

/// A child that runs beside us. Dropping it ends it, and everything it started.
#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    /// How long it may take to end after it was asked to; `None`: it is never killed.
    grace: Option<Duration>,
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
        Ok(Self { name, child, ended: None, grace: Some(GRACE) })
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

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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
        if self.grace.is_some() {
            kill_process_group(self.pid(), Signal::KILL).ok();
        }
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

    /// Asks the child itself to end, waits, and kills what is left of its group. A further signal
    /// to us is passed on: whoever presses Ctrl-C again wants it to end at once.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<Option<ExitStatus>> {
        self.stop_while(signal, interrupt::count)
    }

    fn stop_while(
        &mut self,
        signal: Signal,
        signals: impl Fn() -> usize,
    ) -> Result<Option<ExitStatus>> {
        let (asked, mut passed_on) = (Instant::now(), signals());
        let mut forbidden = false;
        if self.ended()?.is_none() {
            forbidden = self.ask(signal);
        }
        let mut told = false;
        while self.ended()?.is_none() {
            // A process of root can't be killed by us any more than asked.
            let patient = forbidden || self.grace.is_none();
            if !patient && self.grace.is_some_and(|grace| asked.elapsed() >= grace) {
                self.bury()?;
                break;
            }
            if patient && !told && asked.elapsed() > Duration::from_secs(1) {
                let why = if forbidden { "it runs as root" } else { "it must not be cut off" };
                console::say(&format!("waiting for {} to end: {why}", self.name));
                told = true;
            }
            if signals() > passed_on {
                passed_on = signals();
                forbidden |= self.ask(signal);
            }
            thread::sleep(Duration::from_millis(30));
        }
        Ok(self.ended)
    }

    /// Answers whether we are not allowed to.
    fn ask(&self, signal: Signal) -> bool {
        kill_process(self.pid(), signal) == Err(Errno::PERM)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // apt shuts its ears to SIGINT while dpkg is at work, and to SIGINT only.
        let signal = if self.grace.is_some() { Signal::TERM } else { Signal::INT };
        if let Err(error) = self.stop(signal) {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn shell(script: &str) -> Service {
        let mut service = Service::start_piped(Command::new("sh").args(["-c", script])).unwrap();
        // The traps are set by the time it speaks.
        assert_eq!(service.1.recv().unwrap(), "ready");
        service.0.grace = Some(Duration::from_millis(200));
        service.0
    }

    #[test]
    fn who_does_not_end_in_time_is_killed() {
        let mut service = shell("trap '' INT TERM; echo ready; sleep 600; exit 7");
        let ended = service.stop(Signal::INT).unwrap().unwrap();
        assert_eq!(ended.code(), None, "{ended}");
    }

    #[test]
    fn what_must_not_be_cut_off_ends_by_itself() {
        let mut service = shell("trap '' INT TERM; echo ready; sleep 1; exit 7");
        service.grace = None;
        assert_eq!(service.stop(Signal::INT).unwrap().unwrap().code(), Some(7));
    }

    #[test]
    fn what_comes_soon_after_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        // Speaks once its parent is gone, and in a group of its own, which nobody kills.
        let late =
            "touch there; while kill -0 $0 2>/dev/null; do sleep 0.05; done; sleep 0.3; echo late";
        let script = format!(
            "setsid sh -c '{late}' $$ & while [ ! -e there ]; do sleep 0.05; done; echo early"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(folder.path());
        let mut heard = Vec::new();
        let started = Service::start_piped(&mut command).unwrap();
        follow(started, |line| heard.extend(line.map(str::to_owned))).unwrap();
        assert_eq!(heard, ["early", "late"]);
    }

    #[test]
    fn the_second_interrupt_is_passed_on() {
        let mut service = shell(
            "n=0; trap 'n=$((n+1)); [ $n -lt 2 ] || exit 7' INT; echo ready; \
             while :; do sleep 0.01; done",
        );
        service.grace = Some(Duration::from_secs(60));
        let looks = Cell::new(0_usize);
        // Comes when the first one was surely taken.
        let signals = || {
            looks.set(looks.get() + 1);
            looks.get() / 20
        };
        let ended = service.stop_while(Signal::INT, signals).unwrap().unwrap();
        assert_eq!(ended.code(), Some(7));
    }
}
