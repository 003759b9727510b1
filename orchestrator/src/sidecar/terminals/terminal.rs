//! One terminal: a program, what it showed, and who looks on.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use sandbox_sdk::types::{ErrorCode, TerminalInfo};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    super::{api::Problem, process_tree, signal},
    backlog::Backlog,
    pty::{Pty, Size},
};
use crate::clock::{iso, now_ms};

/// How long a terminal lives that nobody looks at.
pub(super) const DETACH_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How often that is looked at.
const DETACH_CHECK: Duration = Duration::from_secs(10);
/// The pause after a piece of output while somebody who looks on falls behind. It slows the program
/// down, and never stops it.
const PACE: Duration = Duration::from_millis(5);
/// How long the last output is waited for once the program has ended, and most bytes of it.
const LAST_OUTPUT: Duration = Duration::from_millis(100);
const MOST_LAST_OUTPUT: usize = 256 << 10;
/// How long typing waits for a program that does not read.
const INPUT_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one input.
const MAX_INPUT: usize = 64 << 10;
/// Those who look on at one terminal at the same time. Each holds a connection.
const MAX_VIEWERS: usize = 32;
/// Inputs that wait for the program.
pub(super) const WAITING_INPUTS: usize = 16;
/// The program ended, and nobody could say how.
const UNKNOWN_EXIT: i32 = 1;

/// Environment variable by which all that was started in a terminal can be found.
pub(super) const MARK: &str = "SKEIN_TERMINAL";

/// What does not change.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) id: String,
    pub(super) connection: String,
    pub(super) name: String,
    pub(super) shell: String,
    pub(super) command: Option<String>,
    pub(super) cwd: String,
}

#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) about: About,
    created_at: i64,
    /// The supervisor.
    root: i32,
    typed: mpsc::Sender<Bytes>,
    state: Mutex<State>,
    /// Something was shown, or the program ended.
    news: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    /// Until the program has ended.
    pty: Option<Arc<Pty>>,
    size: Size,
    backlog: Backlog,
    /// How far each who looks on has come.
    viewers: BTreeMap<u64, u64>,
    next_viewer: u64,
    /// Since when nobody looks on and nobody types.
    left: Instant,
    last_activity: i64,
    /// The supervisor is no more; its pid may be another's.
    over: bool,
    exit: Option<i32>,
}

impl Terminal {
    pub(super) fn new(
        about: About,
        size: Size,
        pty: Pty,
        root: i32,
        typed: mpsc::Sender<Bytes>,
    ) -> Self {
        let now = now_ms();
        let state = State {
            pty: Some(Arc::new(pty)),
            size,
            backlog: Backlog::default(),
            viewers: BTreeMap::new(),
            next_viewer: 0,
            left: Instant::now(),
            last_activity: now,
            over: false,
            exit: None,
        };
        let news = watch::Sender::new(());
        Self { about, created_at: now, root, typed, state: Mutex::new(state), news }
    }

    /// Carries what is shown and typed until the program has ended.
    pub(super) async fn live(
        self: Arc<Self>,
        mut ended: oneshot::Receiver<u8>,
        typed: mpsc::Receiver<Bytes>,
    ) {
        let Some(pty) = self.state().pty.clone() else { return };
        let code = tokio::select! {
            code = &mut ended => code,
            () = self.carry(&pty) => ended.await,
            () = feed(&pty, typed) => return,
            () = self.abandoned() => {
                self.close();
                ended.await
            }
        };
        self.state().over = true;
        // Whatever stays in the background may write for ever.
        timeout(LAST_OUTPUT, self.last_output(&pty)).await.ok();
        let mut state = self.state();
        // What still has the other side open is told that the terminal is gone.
        state.pty = None;
        state.exit = Some(code.map_or(UNKNOWN_EXIT, i32::from));
        drop(state);
        self.news.send_replace(());
    }

    /// Until no program has the terminal open.
    async fn carry(&self, pty: &Pty) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = pty.read(&mut buffer).await {
            if self.show(buffer.get(..count).unwrap_or_default()) {
                sleep(PACE).await;
            }
        }
    }

    async fn last_output(&self, pty: &Pty) {
        let mut buffer = vec![0; 16 << 10];
        let mut left = MOST_LAST_OUTPUT;
        while let Ok(count @ 1..) = pty.read(&mut buffer).await {
            self.show(buffer.get(..count).unwrap_or_default());
            left = left.saturating_sub(count);
            if left == 0 {
                return;
            }
        }
    }

    /// Whether somebody falls behind.
    fn show(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        state.backlog.push(bytes);
        state.last_activity = now_ms();
        let behind = state.viewers.values().any(|at| state.backlog.is_far_behind(*at));
        drop(state);
        self.news.send_replace(());
        behind
    }

    async fn abandoned(&self) {
        loop {
            sleep(DETACH_CHECK).await;
            let state = self.state();
            if state.viewers.is_empty() && state.left.elapsed() >= DETACH_TIMEOUT {
                return;
            }
        }
    }

    /// Ends all that runs in it.
    pub(super) fn close(&self) {
        if !self.state().over {
            process_tree::kill(self.root);
        }
        process_tree::kill_marked(&format!("{MARK}={}", self.about.id));
    }

    pub(super) async fn input(&self, bytes: Bytes) -> Result<(), Problem> {
        if bytes.is_empty() || bytes.len() > MAX_INPUT {
            let words = format!("input has 1 to {MAX_INPUT} bytes");
            return Err(Problem::new(ErrorCode::InvalidInput, words));
        }
        {
            let mut state = self.state();
            if state.over {
                return Err(closed());
            }
            state.left = Instant::now();
            state.last_activity = now_ms();
        }
        match timeout(INPUT_PATIENCE, self.typed.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(closed()),
            Err(_) => {
                let words = "the program in the terminal does not read";
                Err(Problem::new(ErrorCode::InvalidState, words))
            }
        }
    }

    pub(super) fn resize(&self, size: Size) -> Result<(), Problem> {
        let mut state = self.state();
        let pty = state.pty.clone().ok_or_else(closed)?;
        let cannot =
            |error: io::Error| Problem::new(ErrorCode::Server, format!("no new size: {error}"));
        pty.resize(size).map_err(cannot)?;
        state.size = size;
        Ok(())
    }

    pub(super) fn is_running(&self) -> bool {
        self.state().exit.is_none()
    }

    pub(super) fn info(&self) -> TerminalInfo {
        let state = self.state();
        TerminalInfo {
            session_id: self.about.id.clone(),
            connection_id: self.about.connection.clone(),
            name: self.about.name.clone(),
            shell: self.about.shell.clone(),
            command: self.about.command.clone(),
            cwd: self.about.cwd.clone(),
            cols: state.size.cols,
            rows: state.size.rows,
            created_at: iso(self.created_at),
            last_activity_at: iso(state.last_activity),
            is_running: state.exit.is_none(),
            exit_code: state.exit,
            exit_signal: state.exit.and_then(signal::of_exit),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never ends: the terminal's end is told elsewhere.
async fn feed(pty: &Pty, mut typed: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = typed.recv().await {
        if pty.write_all(&bytes).await.is_err() {
            break;
        }
    }
    pending().await
}

fn closed() -> Problem {
    Problem::new(ErrorCode::TerminalClosed, "the terminal is closed")
}

/// Somebody who looks on, from the back-log on. Nothing is kept for them but their place.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) terminal: Arc<Terminal>,
    key: u64,
    at: u64,
    /// The program is slowed down when this one falls behind.
    waited_for: bool,
    news: watch::Receiver<()>,
    told_exit: bool,
}

/// What a viewer gets to see.
#[derive(Debug)]
pub(super) enum Shown {
    Output(Bytes),
    /// They were too slow: something between is lost to them.
    Lost,
    Exit(i32),
}

impl Viewer {
    /// Refused when too many look on already.
    pub(super) fn new(terminal: Arc<Terminal>, waited_for: bool) -> Result<Self, Problem> {
        let news = terminal.news.subscribe();
        let mut state = terminal.state();
        if state.viewers.len() >= MAX_VIEWERS {
            let words = format!("at most {MAX_VIEWERS} look on at one terminal");
            return Err(Problem::new(ErrorCode::QuotaExceeded, words));
        }
        let (key, at) = (state.next_viewer, state.backlog.beginning());
        state.next_viewer += 1;
        state.viewers.insert(key, if waited_for { at } else { u64::MAX });
        drop(state);
        Ok(Self { terminal, key, at, waited_for, news, told_exit: false })
    }

    /// `None`: there is nothing more to come. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Shown> {
        loop {
            if let Some(shown) = self.now() {
                return Some(shown);
            }
            if self.told_exit || self.news.changed().await.is_err() {
                return None;
            }
        }
    }

    fn now(&mut self) -> Option<Shown> {
        let mut state = self.terminal.state();
        let shown = match state.backlog.read(self.at) {
            None => {
                self.at = state.backlog.beginning();
                Shown::Lost
            }
            Some(bytes) if !bytes.is_empty() => {
                self.at += bytes.len() as u64;
                Shown::Output(bytes)
            }
            Some(_) => {
                let exit = state.exit.filter(|_| !self.told_exit)?;
                self.told_exit = true;
                Shown::Exit(exit)
            }
        };
        let at = if self.waited_for { self.at } else { u64::MAX };
        state.viewers.insert(self.key, at);
        Some(shown)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut state = self.terminal.state();
        state.viewers.remove(&self.key);
        state.left = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_look_on_and_whoever_leaves_makes_room() {
        let size = Size { cols: 80, rows: 24 };
        let (pty, _programs) = Pty::open(size).unwrap();
        let about = About {
            id: "a".into(),
            connection: "a".into(),
            name: String::new(),
            shell: "/bin/sh".into(),
            command: None,
            cwd: "/".into(),
        };
        let (typed, _typing) = mpsc::channel(1);
        let terminal = Arc::new(Terminal::new(about, size, pty, 0, typed));
        let look = |waited_for| Viewer::new(Arc::clone(&terminal), waited_for);
        let mut all: Vec<_> = (0..MAX_VIEWERS).map(|n| look(n % 2 == 0).unwrap()).collect();
        for waited_for in [true, false] {
            assert_eq!(look(waited_for).unwrap_err().code, ErrorCode::QuotaExceeded);
        }
        all.pop();
        assert!(look(true).is_ok());
    }
}
