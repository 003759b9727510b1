//! What the person at the terminal sees: one line a step, with the time it took.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// How often a long step speaks up where there is no terminal to redraw.
const HEARTBEAT: Duration = Duration::from_secs(30);

pub(crate) fn set_verbose(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
}

pub(crate) fn verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// A line for the person.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Why the command failed.
pub(crate) fn complain(line: &str) {
    eprintln!("error: {line}");
}

/// A step under way. Steps shorter than a moment leave no trace unless they did something.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    started: Instant,
    shown: Instant,
    announced: bool,
    terminal: bool,
}

impl Step {
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal() && !verbose();
        Self { name: name.into(), started: now, shown: now, announced: false, terminal }
    }

    /// Shows that the step is still going, and what it said last.
    pub(crate) fn tick(&mut self, last_line: &str) {
        let pause = if self.terminal {
            Duration::from_millis(200)
        } else if self.announced {
            HEARTBEAT
        } else {
            Duration::from_secs(1)
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let line = format!("  {} … {}", self.name, seconds(self.started.elapsed()));
        if self.terminal {
            let line: String = format!("{line}  {}", last_line.trim()).chars().take(78).collect();
            eprint!("\r\x1b[K{line}");
            drop(std::io::stderr().flush());
        } else if !verbose() || !self.announced {
            say(&line);
        }
        self.announced = true;
    }

    /// Ends the step with its time; silent when it was over before it was announced.
    pub(crate) fn done(self) {
        if self.announced {
            self.finish("✓");
        }
    }

    /// Ends the step and says so, however short it was.
    pub(crate) fn failed(self) {
        self.finish("✗");
    }

    fn finish(&self, mark: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        say(&format!("{clear}{mark} {}  {}", self.name, seconds(self.started.elapsed())));
    }
}

/// A duration as people read it: `4 s`, `2 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 {
        return format!("{whole} s");
    }
    format!("{} min {:02} s", whole / 60, whole % 60)
}
