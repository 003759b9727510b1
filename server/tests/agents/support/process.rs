//! Processes of this machine, as `/proc` shows them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A process in a sandbox, or one that keeps it from outside.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// It has a number in the sandbox as well.
    pub(crate) is_inside: bool,
    /// The sandbox's first, with which all others end.
    pub(crate) is_init: bool,
    /// As the sandbox sees it; nothing of one that has just ended.
    pub(crate) program: Option<PathBuf>,
    /// Its command line.
    line: String,
}

impl Process {
    fn read(pid: u32) -> Self {
        let place = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(place.join("status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let is_inside = ids.split_whitespace().count() > 1;
        let line = fs::read(place.join("cmdline")).unwrap_or_default();
        Self {
            pid,
            is_inside,
            is_init: is_inside && ids.split_whitespace().last() == Some("1"),
            program: fs::read_link(place.join("exe")).ok(),
            line: String::from_utf8_lossy(&line).replace('\0', " "),
        }
    }

    /// A program that came with an agent.
    pub(crate) fn is_agent(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.starts_with("/opt/agents"))
    }

    /// An agent, or what looks after it.
    pub(crate) fn is_of_agent(&self) -> bool {
        self.line.split(' ').any(|word| word.starts_with("/opt/agents/")) || self.is_agent()
    }

    pub(crate) fn kill(&self) {
        Command::new("kill").args(["-s", "KILL", &self.pid.to_string()]).status().unwrap();
    }

    /// Its environment and its command line, as far as they can be read.
    pub(crate) fn told(&self) -> Vec<u8> {
        let read = |name: &str| fs::read(format!("/proc/{}/{name}", self.pid)).unwrap_or_default();
        [read("environ"), read("cmdline")].concat()
    }
}

/// Processes that have a part of the folder mounted: those of the sandboxes below it.
pub(crate) fn processes_below(folder: &Path) -> Vec<Process> {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let inside = |pid: &u32| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo"));
        mounts.is_ok_and(|mounts| mounts.contains(&name))
    };
    pids().filter(inside).map(Process::read).collect()
}

/// Whether a process has the word among its arguments.
pub(crate) fn there(word: &str) -> bool {
    let lines = pids().filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok());
    let mut lines = lines;
    lines.any(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
