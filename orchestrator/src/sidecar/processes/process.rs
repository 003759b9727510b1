//! One process that the API started: what it writes, its time, its end.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal;
use sandbox_sdk::types::{ProcessInfo, ProcessResult};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    super::{
        characters::Characters,
        commands::{CommandRunner, Lasting},
        process_tree, signal,
    },
    log::{Entry, Log, Source},
};
use crate::clock::{iso, now_ms};

/// How long to wait for the end of output that a process in the background may hold open.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);
const TIMED_OUT: i32 = 124;
/// The process ended, and nobody could say how.
const UNKNOWN_EXIT: i32 = 1;
/// Stands where the exit code of a process will be.
const STILL_RUNNING: i32 = -1;
/// Bytes told of what was asked for.
const SHOWN: usize = 1024;

#[derive(Debug)]
pub(super) struct Process {
    /// The supervisor's.
    pub(super) pid: i32,
    command: String,
    cwd: Option<String>,
    started_at: i64,
    pub(super) log: Log,
    end: watch::Sender<Option<End>>,
    life: Mutex<Life>,
}

/// Between a process's end and the last of its output.
#[derive(Debug, Default)]
struct Life {
    /// The supervisor is no more; its pid may be another's.
    over: bool,
    timed_out: bool,
    /// It was killed from here.
    killed: bool,
}

#[derive(Clone, Copy, Debug)]
struct End {
    code: i32,
    at: i64,
}

impl Process {
    pub(super) fn new(pid: i32, command: &str, cwd: Option<String>) -> Self {
        Self {
            pid,
            command: command[..command.floor_char_boundary(SHOWN)].to_owned(),
            cwd,
            started_at: now_ms(),
            log: Log::new(),
            end: watch::Sender::new(None),
            life: Mutex::default(),
        }
    }

    /// Follows it to its end, or ends it after `limit`.
    pub(super) async fn follow(
        self: Arc<Self>,
        commands: CommandRunner,
        lasting: Lasting,
        stdin: Option<String>,
        limit: Option<Duration>,
    ) {
        let Lasting { mut ended, stdin: to, stdout, stderr, stops, .. } = lasting;
        let mut pipes = JoinSet::new();
        if let Some((to, text)) = to.zip(stdin) {
            // It ends with the process, whether or not that has read everything.
            tokio::spawn(type_in(Arc::clone(&self), to, text));
        }
        for (from, source) in [(stdout, Source::Stdout), (stderr, Source::Stderr)] {
            if let Some(from) = from {
                pipes.spawn(Arc::clone(&self).read(from, source));
            }
        }
        let ended = tokio::select! {
            code = &mut ended => code.ok(),
            () = until(limit) => {
                {
                    let mut life = self.life();
                    (life.timed_out, life.killed) = (true, true);
                }
                process_tree::kill(self.pid);
                ended.await.ok()
            }
        };
        self.life().over = true;
        let drained = async { while pipes.join_next().await.is_some() {} };
        if timeout(OUTPUT_GRACE, drained).await.is_err() {
            // What stays in the background must not hang on a full pipe: it is read, and dropped.
            pipes.detach_all();
        }
        // A kill that was asked for needs no explanation.
        let unasked = ended.filter(|_| !self.life().killed);
        if let Some(reason) = commands.why_stopped(stops, unasked) {
            let text = format!("{reason}\n");
            self.log.push(now_ms(), Entry::Text { source: Source::Stderr, text });
        }
        let timed_out = self.life().timed_out;
        let code = if timed_out { TIMED_OUT } else { ended.map_or(UNKNOWN_EXIT, i32::from) };
        let at = now_ms();
        self.log.push(at, Entry::Exit(code));
        self.end.send_replace(Some(End { code, at }));
    }

    async fn read(self: Arc<Self>, from: OwnedFd, source: Source) {
        let Ok(mut pipe) = pipe::Receiver::from_owned_fd(from) else { return };
        let (mut buffer, mut characters) = (vec![0; 8 << 10], Characters::default());
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let text = characters.push(buffer.get(..count).unwrap_or_default());
            self.wrote(source, text);
        }
        self.wrote(source, characters.finish());
    }

    fn wrote(&self, source: Source, text: String) {
        if !text.is_empty() {
            self.log.push(now_ms(), Entry::Text { source, text });
        }
    }

    /// Whether it ran still. `tree`: with all that it has started.
    pub(super) fn send(&self, signal: Signal, tree: bool) -> bool {
        let mut life = self.life();
        if life.over {
            return false;
        }
        life.killed |= signal == Signal::KILL;
        if !tree {
            process_tree::send_to_first_child(self.pid, signal);
        } else if signal == Signal::KILL {
            process_tree::kill(self.pid);
        } else {
            process_tree::send_below(self.pid, signal);
        }
        drop(life);
        true
    }

    pub(super) fn is_running(&self) -> bool {
        self.end.borrow().is_none()
    }

    /// Waits for its end.
    pub(super) async fn result(&self) -> ProcessResult {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        let End { code, at } = ended.unwrap_or(End { code: UNKNOWN_EXIT, at: now_ms() });
        let (stdout, stderr, truncated) = self.log.texts();
        ProcessResult {
            pid: self.pid,
            exit_code: code,
            stdout,
            stderr,
            duration_ms: u64::try_from(at - self.started_at).unwrap_or(0),
            truncated,
            timed_out: self.life().timed_out,
        }
    }

    pub(super) fn info(&self) -> ProcessInfo {
        let end = *self.end.borrow();
        ProcessInfo {
            pid: self.pid,
            command: self.command.clone(),
            cwd: self.cwd.clone(),
            status: if end.is_some() { "exited" } else { "running" }.to_owned(),
            running: end.is_none(),
            exit_code: end.map_or(STILL_RUNNING, |end| end.code),
            exit_signal: end.and_then(|end| signal::of_exit(end.code)),
            timed_out: self.life().timed_out,
            started_at: iso(self.started_at),
            exited_at: end.map(|end| iso(end.at)),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn type_in(process: Arc<Process>, to: OwnedFd, text: String) {
    let mut end = process.end.subscribe();
    let write = async {
        let mut pipe = pipe::Sender::from_owned_fd(to)?;
        pipe.write_all(text.as_bytes()).await?;
        Ok::<_, io::Error>(())
    };
    tokio::select! {
        // A program need not read what it is given.
        written = write => drop(written),
        ended = end.wait_for(Option::is_some) => drop(ended),
    }
}

async fn until(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}
