//! Tells what a command writes while it runs.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use bytes::Bytes;
use futures::StreamExt;
use sandbox_sdk::types::Exec;
use serde::Serialize;
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, interval_at, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    super::{
        api::Problem,
        characters::Characters,
        events::{KEEP_ALIVE, QUIET, event},
        signal,
    },
    CommandRunner, KILLED, Spawned, TIMED_OUT,
    output::OUTPUT_GRACE,
    program::Program,
    tree::Tree,
};
use crate::clock::now_ms;

/// Frames that a command may be ahead of its reader.
const AHEAD: usize = 16;
/// Bytes of output in one frame.
const PIECE: usize = 8 * 1024;
/// Bytes that are told of each of standard output and standard error. The rest is read and dropped.
const MAX_TOLD: u64 = 256 << 20;
/// A pipe holds no more. What a command has written is in it when the command ends.
const PIPE: usize = 1 << 20;

/// Data of the event `exit`, which is the last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exit {
    exit_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    timed_out: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// Milliseconds.
    duration: u64,
    /// What was asked for and makes no difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A command whose output is told.
struct Live {
    runner: CommandRunner,
    tree: Tree,
    stdout: Told,
    stderr: Told,
    started: Instant,
    limit: Duration,
    stops: u64,
    /// Its place among those that run.
    place: OwnedSemaphorePermit,
    warnings: Vec<String>,
}

impl CommandRunner {
    /// Starts a command. The answer's body has its output as events and ends with the event `exit`.
    /// A reader that takes nothing stops the command's output, not its time; one that goes away
    /// ends the command with all that it started. `warnings` are told with its end.
    pub(super) async fn stream(
        &self,
        exec: Exec,
        warnings: Vec<String>,
    ) -> Result<Response, Problem> {
        let program = Program::of_shell(exec)?;
        let (folder, limit) = program.check()?;
        let place = self.place()?;
        let mut command = self.prepare(&program, &folder, self.guard.room().await)?;
        let (started, stops) = (Instant::now(), self.guard.stops());
        let Spawned { tree, stdout, stderr } = self.spawn(&mut command)?;
        let (stdout, stderr) = (Told::new("stdout", stdout), Told::new("stderr", stderr));
        let runner = self.clone();
        let live = Live { runner, tree, stdout, stderr, started, limit, stops, place, warnings };
        let (sender, frames) = mpsc::channel(AHEAD);
        tokio::spawn(live.run(sender));
        let frames = ReceiverStream::new(frames).map(Ok::<_, Infallible>);
        let mut answer = Response::new(Body::from_stream(frames));
        let kind = HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(answer)
    }
}

impl Live {
    async fn run(self, frames: mpsc::Sender<Bytes>) {
        let Self { runner, mut tree, mut stdout, mut stderr, started, limit, stops, .. } = self;
        let output = async {
            tokio::join!(stdout.tell(&frames), stderr.tell(&frames));
            // Both are closed; the command may go on for long.
            std::future::pending::<Option<i32>>().await
        };
        let code = tokio::select! {
            code = tree.end() => Some(code),
            () = sleep_until(started + limit) => None,
            () = frames.closed() => return,
            never = output => never,
            never = keep_alive(&frames) => never,
        };
        if code.is_none() {
            tree.kill();
        }
        stdout.rest(&frames).await;
        stderr.rest(&frames).await;
        if let Some(reason) = runner.why_ended(stops, code) {
            frames.send(stderr.piece(format!("{reason}\n"))).await.ok();
        }
        let exit = Exit {
            exit_code: code.unwrap_or(TIMED_OUT),
            signal: signal::of_exit(code.unwrap_or(KILLED)),
            timed_out: code.is_none(),
            truncated: stdout.truncated || stderr.truncated,
            duration: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            warnings: self.warnings,
        };
        // Whoever has gone away needs no end.
        frames.send(event("exit", &exit)).await.ok();
        drop(self.place);
    }
}

/// One of a command's two outputs.
struct Told {
    name: &'static str,
    pipe: pipe::Receiver,
    buffer: Vec<u8>,
    characters: Characters,
    /// Bytes that may still be told.
    left: u64,
    truncated: bool,
}

impl Told {
    fn new(name: &'static str, pipe: pipe::Receiver) -> Self {
        let (buffer, characters) = (vec![0; PIECE], Characters::default());
        Self { name, pipe, buffer, characters, left: MAX_TOLD, truncated: false }
    }

    /// Tells what comes, until nothing can come any more. It may be dropped at any time: what was
    /// read has been told.
    async fn tell(&mut self, frames: &mpsc::Sender<Bytes>) {
        loop {
            // Room first. What can't be told is not read, so that the command waits.
            let Ok(room) = frames.reserve().await else { return };
            let Ok(count @ 1..) = self.pipe.read(&mut self.buffer).await else { return };
            if let Some(frame) = self.frame(count) {
                room.send(frame);
            }
        }
    }

    /// Tells what the command has left in the pipe. A process in the background may go on writing.
    async fn rest(&mut self, frames: &mpsc::Sender<Bytes>) {
        let mut most = PIPE;
        while most > 0 {
            let Ok(room) = frames.reserve().await else { return };
            let read = timeout(OUTPUT_GRACE, self.pipe.read(&mut self.buffer)).await;
            let Ok(Ok(count @ 1..)) = read else { break };
            most = most.saturating_sub(count);
            if let Some(frame) = self.frame(count) {
                room.send(frame);
            }
        }
        let begun = self.characters.finish();
        if !begun.is_empty() && !self.truncated {
            frames.send(self.piece(begun)).await.ok();
        }
    }

    /// The event for the bytes that were read last, unless they are to be dropped, or are only the
    /// beginning of a character.
    fn frame(&mut self, count: usize) -> Option<Bytes> {
        let fitting = count.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.truncated |= fitting < count;
        self.left = self.left.saturating_sub(fitting as u64);
        let text = self.characters.push(self.buffer.get(..fitting).unwrap_or_default());
        (!text.is_empty()).then(|| self.piece(text))
    }

    fn piece(&self, text: String) -> Bytes {
        event(self.name, &json!({"data": text, "timestamp": now_ms()}))
    }
}

/// Says for ever that the command is still there, when it says nothing itself.
async fn keep_alive<T>(frames: &mpsc::Sender<Bytes>) -> T {
    let mut pulse = interval_at(Instant::now() + QUIET, QUIET);
    loop {
        pulse.tick().await;
        // Without room, the reader has enough to read.
        frames.try_send(KEEP_ALIVE).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_names_only_what_there_is_to_say() {
        let exit = Exit {
            exit_code: 0,
            signal: None,
            timed_out: false,
            truncated: false,
            duration: 7,
            warnings: Vec::new(),
        };
        let frame = event("exit", &exit);
        assert_eq!(frame, "event: exit\ndata: {\"exitCode\":0,\"duration\":7}\n\n");
        let exit = Exit { exit_code: 137, signal: signal::of_exit(137), ..exit };
        let frame = event("exit", &exit);
        assert_eq!(
            frame,
            "event: exit\ndata: {\"exitCode\":137,\"signal\":\"SIGKILL\",\"duration\":7}\n\n"
        );
    }
}
