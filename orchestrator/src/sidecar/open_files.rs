//! Files that were deleted and are still open: they take up room that no folder shows.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, StatVfsMountFlags, stat, statfs, statvfs};

use super::{HOME, WORKSPACE, process_tree};

/// Bytes that they take up on disk. What a process hides that lets nobody look into it, or that
/// waits in a socket to be received, is not found.
pub(super) fn deleted_bytes() -> u64 {
    let own: Vec<u64> =
        [WORKSPACE, HOME].iter().filter_map(|folder| Some(stat(*folder).ok()?.st_dev)).collect();
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for path in process_tree::ids().into_iter().flat_map(open_files) {
        let Ok(file) = stat(&path) else { continue };
        if file.st_nlink == 0
            && FileType::from_raw_mode(file.st_mode).is_file()
            && (own.contains(&file.st_dev) || is_on_disk(&path))
            && seen.insert((file.st_dev, file.st_ino))
        {
            bytes += u64::try_from(file.st_blocks).unwrap_or(0) * 512;
        }
    }
    bytes
}

/// Threads may have open files of their own.
fn open_files(pid: i32) -> impl Iterator<Item = PathBuf> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let threads = entries(Path::new("/proc").join(pid.to_string()).join("task"));
    threads.flat_map(move |thread| entries(thread.path().join("fd"))).map(|file| file.path())
}

/// Not in memory, which has a limit of its own, and not one of the host's files.
fn is_on_disk(path: &Path) -> bool {
    let in_memory = [libc::TMPFS_MAGIC, libc::HUGETLBFS_MAGIC];
    statfs(path).is_ok_and(|system| !in_memory.contains(&system.f_type))
        && statvfs(path).is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::RDONLY))
}
