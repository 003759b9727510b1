//! Files that were deleted and are still open: they take up room that no folder shows.

use std::{
    collections::HashSet,
    fs,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::{FileType, Stat, StatVfsMountFlags, stat, statfs, statvfs};

use super::{HOME, WORKSPACE, process_tree};

/// The disk is nearly full when less than one part in so many is free, and less than so many bytes.
const SCARCE_SHARE: u64 = 50;
const SCARCE_BYTES: u64 = 1 << 30;
/// How often a process is looked at that seems to hide something. One that is just being started, or
/// is about to end, seems so for a moment.
const LOOKS: usize = 3;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Bytes that are read of what the kernel tells of an open file.
const MAX_INFO: u64 = 4096;

/// Bytes that they take up on disk. What a process hides that lets nobody look into it, or that
/// waits in a socket to be received, is not found; see [`may_fill_the_disk`].
pub(super) fn deleted_bytes() -> u64 {
    let own: Vec<u64> =
        [WORKSPACE, HOME].iter().filter_map(|folder| Some(stat(*folder).ok()?.st_dev)).collect();
    deleted()
        .filter(|(path, file)| own.contains(&file.st_dev) || is_on_disk(path))
        .map(|(_, file)| bytes(&file))
        .sum()
}

/// All of them once, on disk or in memory, with a path that leads there.
pub(super) fn deleted() -> impl Iterator<Item = (PathBuf, Stat)> {
    let mut seen = HashSet::new();
    process_tree::ids().into_iter().flat_map(open_files).filter_map(move |path| {
        let file = stat(&path).ok()?;
        let is_deleted = file.st_nlink == 0 && FileType::from_raw_mode(file.st_mode).is_file();
        (is_deleted && seen.insert((file.st_dev, file.st_ino))).then_some((path, file))
    })
}

/// Blocks are of 512 bytes, whatever the file system's own are.
pub(super) fn bytes(file: &Stat) -> u64 {
    u64::try_from(file.st_blocks).unwrap_or(0) * 512
}

/// Whether a file is in memory, as far as that can be told.
pub(super) fn is_in_memory(path: &Path) -> Option<bool> {
    let in_memory = [libc::TMPFS_MAGIC, libc::HUGETLBFS_MAGIC];
    Some(in_memory.contains(&statfs(path).ok()?.f_type))
}

/// Not in memory, which has a limit of its own, and not one of the host's files.
fn is_on_disk(path: &Path) -> bool {
    is_in_memory(path) == Some(false)
        && statvfs(path).is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn threads(pid: i32) -> impl Iterator<Item = PathBuf> {
    entries(&Path::new("/proc").join(pid.to_string()).join("task"))
}

/// Threads may have open files of their own.
fn open_files(pid: i32) -> impl Iterator<Item = PathBuf> {
    threads(pid).flat_map(|thread| entries(&thread.join("fd")))
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether the disk is nearly full, and a process may hold a part of it that can't be found. Programs
/// that guard secrets hide their open files, too: while there is room, that is no fault.
pub(super) fn may_fill_the_disk() -> bool {
    let is_full = statvfs(WORKSPACE).is_ok_and(|system| {
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        is_scarce(bytes(system.f_bavail), bytes(system.f_blocks))
    });
    is_full && is_something_hidden()
}

fn is_scarce(free: u64, all: u64) -> bool {
    free < SCARCE_BYTES.min(all / SCARCE_SHARE)
}

fn is_something_hidden() -> bool {
    // The sidecar lets nobody look into it, either.
    let mut suspects: Vec<i32> = process_tree::ids().into_iter().filter(|pid| *pid != 1).collect();
    for _ in 0..LOOKS {
        suspects.retain(|pid| threads(*pid).any(|thread| hides(&thread)));
        if suspects.is_empty() {
            return false;
        }
        thread::sleep(LOOK_PAUSE);
    }
    true
}

fn hides(thread: &Path) -> bool {
    match fs::read_dir(thread.join("fd")) {
        Ok(_) => entries(&thread.join("fd"))
            .filter(|file| is_socket(file))
            .filter_map(|file| beginning(&thread.join("fdinfo").join(file.file_name()?)).ok())
            .any(|info| has_files_waiting(&info)),
        Err(error) => error.kind() == ErrorKind::PermissionDenied && !has_ended(thread),
    }
}

fn is_socket(file: &Path) -> bool {
    let target = fs::read_link(file).unwrap_or_default();
    target.as_os_str().as_encoded_bytes().starts_with(b"socket:")
}

/// Of a file with many locks a line each.
fn beginning(info: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(info)?.take(MAX_INFO).read_to_string(&mut text)?;
    Ok(text)
}

/// Of an open file that is a socket: whether others were sent over it and not received so far. So
/// many locks that nothing is read of what comes after them may hide it.
fn has_files_waiting(info: &str) -> bool {
    let waiting = info.lines().find_map(|line| line.strip_prefix("scm_fds:"));
    let is_cut_off = info.len() as u64 >= MAX_INFO;
    waiting.is_some_and(|number| number.trim() != "0")
        || (waiting.is_none() && is_cut_off && info.lines().any(|line| line.starts_with("lock:")))
}

/// A zombie has no open files, and can't be looked into.
fn has_ended(thread: &Path) -> bool {
    let stat = fs::read(thread.join("stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let state = stat.rsplit_once(')').map(|(_, fields)| fields.trim_start());
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_wait_in_a_socket_are_seen() {
        assert!(has_files_waiting("pos:\t0\nflags:\t02\nscm_fds: 3\n"));
        assert!(!has_files_waiting("pos:\t0\nflags:\t02\nscm_fds: 0\n"));
        assert!(!has_files_waiting("pos:\t0\nflags:\t02\n"));
        let lines = |line: &str| format!("pos:\t0\n{}", line.repeat(200));
        assert!(has_files_waiting(&lines("lock:\t1: POSIX  ADVISORY  WRITE 7 00:2a:5 0 0\n")));
        assert!(!has_files_waiting(&lines(
            "tfd:        5 events:       19 data:                5\n"
        )));
    }

    #[test]
    fn a_disk_is_nearly_full_by_its_share_or_by_its_bytes_whichever_is_less() {
        assert!(is_scarce(1 << 20, 96 << 20) && !is_scarce(2 << 20, 96 << 20));
        assert!(is_scarce(1 << 29, 1 << 40) && !is_scarce(1 << 30, 1 << 40));
    }

    #[test]
    fn a_process_that_runs_has_not_ended_and_one_that_is_gone_has() {
        assert!(!has_ended(Path::new("/proc/self")));
        assert!(has_ended(Path::new("/proc/self/no-such-thread")));
    }
}
