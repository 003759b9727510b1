//! The processes of the sandbox, from its own `/proc`.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

/// How often to look for processes that are still to be ended, and the pause in between.
const SWEEPS: usize = 500;
/// So often on a machine, too, that is slow.
const MIN_SWEEPS: usize = 20;
const SWEEP_PAUSE: Duration = Duration::from_micros(200);
/// How long stopping them may take all together, and killing them, too. The sidecar does nothing else
/// meanwhile.
const SWEEPS_PATIENCE: Duration = Duration::from_millis(300);

/// The kernel's flag of a process that has begun to end (`PF_EXITING`).
const EXITING: u64 = 4;

/// One process, as far as its `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) parent: i32,
    /// Its session, by the id of the process that began it.
    session: i32,
    /// Stopped or a zombie: it will not start others.
    pub(super) still: bool,
    /// On its way out, or a zombie.
    over: bool,
    /// Bytes of memory that it holds alone or shares.
    pub(super) resident: u64,
}

/// All process ids.
pub(super) fn ids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// All processes by id.
pub(super) fn all() -> BTreeMap<i32, Process> {
    ids().into_iter().filter_map(|pid| Some((pid, read(pid)?))).collect()
}

fn read(pid: i32) -> Option<Process> {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    // The name may not be UTF-8.
    parse(&String::from_utf8_lossy(&fs::read(path).ok()?))
}

/// Whether a process has ended, or is just about to: it does nothing any more.
pub(super) fn is_over(pid: i32) -> bool {
    read(pid).is_none_or(|process| process.over)
}

/// `pid (name) state parent …`: the name may hold anything, so fields count from its last bracket.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let flags: u64 = fields.get(6)?.parse().ok()?;
    let threads: u64 = fields.get(17)?.parse().ok()?;
    let pages: u64 = fields.get(21)?.parse().ok()?;
    let state = *fields.first()?;
    // The first thread may end before the others, and is a zombie meanwhile.
    let is_gone = matches!(state, "Z" | "X") && threads <= 1;
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        still: is_gone || matches!(state, "T" | "t"),
        over: is_gone || (flags & EXITING != 0 && threads <= 1),
        resident: pages * u64::try_from(rustix::param::page_size()).ok()?,
    })
}

/// Bytes that a process has mapped, shared ones divided among those that share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) all: u64,
    /// Those of files in memory and of memory that is shared.
    pub(super) shared: u64,
}

/// `None`: it lets nobody look.
pub(super) fn mapped(pid: i32) -> Option<Mapped> {
    let path = Path::new("/proc").join(pid.to_string()).join("smaps_rollup");
    parse_mapped(&fs::read_to_string(path).ok()?)
}

fn parse_mapped(text: &str) -> Option<Mapped> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    // Older kernels tell the sum only.
    Some(Mapped { all: bytes("Pss:")?, shared: bytes("Pss_Shmem:").unwrap_or(0) })
}

/// Kills a process with all that descends from it.
pub(super) fn kill(root: i32) {
    kill_descendants(root);
    // The root last: until then it is where orphans stay.
    send(root, Signal::KILL);
}

/// Kills every process whose environment holds the variable. It finds what no longer descends from
/// where it was started.
pub(super) fn kill_marked(variable: &str) {
    let until = Instant::now() + SWEEPS_PATIENCE;
    for sweep in 0.. {
        if sweep >= MIN_SWEEPS && Instant::now() >= until {
            break;
        }
        let marked: Vec<i32> = ids().into_iter().filter(|pid| is_marked(*pid, variable)).collect();
        if marked.is_empty() {
            break;
        }
        marked.iter().for_each(|pid| send(*pid, Signal::KILL));
        std::thread::sleep(SWEEP_PAUSE);
    }
}

fn is_marked(pid: i32, variable: &str) -> bool {
    let path = Path::new("/proc").join(pid.to_string()).join("environ");
    // Empty once the process is a zombie.
    let environment = fs::read(path).unwrap_or_default();
    pid != 1 && environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Signals the program below a supervisor. The first that a supervisor has started is the program.
pub(super) fn send_to_first_child(root: i32, signal: Signal) {
    send_for(root, signal, |all| {
        let first = all.iter().find(|(_, process)| process.parent == root);
        first.map(|(pid, _)| *pid).into_iter().collect()
    });
}

/// Signals all that runs below a supervisor.
pub(super) fn send_below(root: i32, signal: Signal) {
    send_for(root, signal, |all| descendants(root, all));
}

/// A supervisor that has started nothing yet takes the signal in place of its program: it is ended
/// or stopped by it as a program is that has just begun, where the signal would be lost otherwise.
/// One that was stopped so goes on with its program.
fn send_for(supervisor: i32, signal: Signal, find: impl Fn(&BTreeMap<i32, Process>) -> Vec<i32>) {
    let mut programs = find(&all());
    let has_none = programs.is_empty();
    let was_held = read(supervisor).is_some_and(|process| process.still);
    if has_none {
        // It must not start one between the look and the signal.
        hold(supervisor);
        programs = find(&all());
    }
    let takes_it = programs.is_empty();
    if takes_it {
        programs.push(supervisor);
    }
    programs.iter().for_each(|pid| send(*pid, signal));
    let stays_held = takes_it && (was_held || signal == Signal::STOP);
    if signal == Signal::CONT || (has_none && !stays_held) {
        send(supervisor, Signal::CONT);
    }
}

/// Stops a process. It may be on its way into another for a moment yet.
fn hold(pid: i32) {
    send(pid, Signal::STOP);
    let until = Instant::now() + SWEEPS_PATIENCE;
    while Instant::now() < until && read(pid).is_some_and(|process| !process.still) {
        std::thread::sleep(SWEEP_PAUSE);
    }
}

/// Kills what is left of a session whose first process has ended, with all that descends from it.
/// What has begun a session of its own and lost its parents isn't found.
pub(super) fn kill_session(leader: i32) {
    kill_all(|processes| {
        let members = processes.iter().filter(|(_, process)| process.session == leader);
        let mut found = Vec::new();
        for (pid, _) in members {
            found.push(*pid);
            found.extend(descendants(*pid, processes));
        }
        found
    });
}

/// Kills every process but the sidecar.
pub(super) fn kill_everything() {
    kill_descendants(1);
}

fn kill_descendants(root: i32) {
    kill_all(|processes| descendants(root, processes));
}

/// A process in the middle of starting another would escape a simple sweep, so all are stopped first,
/// until a sweep finds nobody left who moves.
fn kill_all(find: impl Fn(&BTreeMap<i32, Process>) -> Vec<i32>) {
    let until = Instant::now() + SWEEPS_PATIENCE;
    for _ in 0..SWEEPS {
        // One that waits in the kernel for a child it has just made does not stop before that goes on.
        if Instant::now() >= until {
            break;
        }
        let processes = all();
        let moving: Vec<i32> = find(&processes)
            .into_iter()
            .filter(|pid| processes.get(pid).is_some_and(|process| !process.still))
            .collect();
        if moving.is_empty() {
            break;
        }
        moving.iter().for_each(|pid| send(*pid, Signal::STOP));
        // A stop takes effect when the process next leaves the kernel.
        std::thread::sleep(SWEEP_PAUSE);
    }
    // Who could not be stopped in time may go on to start others.
    let until = Instant::now() + SWEEPS_PATIENCE;
    loop {
        let processes = all();
        let found = find(&processes);
        found.iter().for_each(|pid| send(*pid, Signal::KILL));
        let is_left = |pid: &i32| processes.get(pid).is_some_and(|process| !process.over);
        if !found.iter().any(is_left) || Instant::now() >= until {
            break;
        }
        std::thread::sleep(SWEEP_PAUSE);
    }
}

fn descendants(root: i32, processes: &BTreeMap<i32, Process>) -> Vec<i32> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, _) in processes.iter().filter(|(_, process)| process.parent == parent) {
            found.push(*pid);
            parents.push(*pid);
        }
    }
    found
}

fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Gone already is what was wanted.
        rustix::process::kill_process(pid, signal).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) R 1 (b) S 3 7 7 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 100 1000000 25 0";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.session), (3, 7));
        assert_eq!(process.resident, 25 * u64::try_from(rustix::param::page_size()).unwrap());
        assert!(!process.still && !process.over);
        assert!(parse(&stat.replace("4194304", "4194308")).unwrap().over);
        let zombie = parse(&stat.replace(") S 3", ") Z 3")).unwrap();
        assert!(zombie.still && zombie.over);
    }

    #[test]
    fn a_process_goes_on_while_another_thread_than_its_first_does() {
        let stat = "7 (a) Z 3 7 7 0 -1 4194308 100 0 0 0 0 0 0 0 20 0 2 0 100 1000000 25 0";
        let process = parse(stat).unwrap();
        assert!(!process.still && !process.over);
    }

    #[test]
    fn what_a_process_has_mapped_is_told_with_what_of_it_is_shared() {
        let head = "55f0-7ffd ---p 00000000 00:00 0    [rollup]\nRss:  900 kB\nPss:  300 kB\n";
        assert_eq!(parse_mapped(head), Some(Mapped { all: 300 << 10, shared: 0 }));
        let newer = format!("{head}Pss_Anon:  200 kB\nPss_Shmem:  80 kB\n");
        assert_eq!(parse_mapped(&newer), Some(Mapped { all: 300 << 10, shared: 80 << 10 }));
        assert_eq!(parse_mapped(""), None);
    }

    #[test]
    fn descendants_are_found_over_generations_and_others_left_out() {
        let child = |parent| Process { parent, session: 1, still: false, over: false, resident: 0 };
        let processes = [(2, child(1)), (3, child(2)), (4, child(3)), (5, child(1))].into();
        let mut found = descendants(2, &processes);
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
    }
}
