//! Memory that can be full while no process has it mapped: files in memory, and the shared segments of
//! System V, which stay when the last program that used them has ended.

use std::{collections::BTreeMap, fs, path::Path};

use rustix::fs::{stat, statvfs};

use super::{open_files, process_tree};

/// Folders in memory that a sandbox may have.
const FOLDERS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const SEGMENTS: &str = "/proc/sysvipc/shm";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    id: i32,
    /// Process id; it may be gone.
    maker: i32,
    /// How often it is mapped.
    attached: u64,
    /// Bytes of it that are in memory.
    resident: u64,
}

/// Bytes in memory, mapped or not. Files that only a mapping keeps are not found: they count as what
/// the process holds that has touched them.
pub(super) fn held() -> u64 {
    let folders: BTreeMap<u64, u64> = FOLDERS.into_iter().filter_map(used).collect();
    let files = open_files::deleted()
        .filter(|(path, file)| {
            !folders.contains_key(&file.st_dev) && open_files::is_in_memory(path) == Some(true)
        })
        .map(|(_, file)| open_files::bytes(&file));
    let segments = segments().into_iter().map(|segment| segment.resident);
    folders.values().copied().chain(files).chain(segments).sum()
}

/// A folder's file system, if it is in memory, and what is used of it.
fn used(folder: &str) -> Option<(u64, u64)> {
    if open_files::is_in_memory(Path::new(folder)) != Some(true) {
        return None;
    }
    let (file, system) = (stat(folder).ok()?, statvfs(folder).ok()?);
    Some((file.st_dev, system.f_blocks.saturating_sub(system.f_bfree) * system.f_frsize))
}

fn segments() -> Vec<Segment> {
    let text = fs::read_to_string(SEGMENTS).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// `key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap`, below a line
/// of these names.
fn parse(line: &str) -> Option<Segment> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    Some(Segment {
        id: fields.get(1)?.parse().ok()?,
        maker: fields.get(4)?.parse().ok()?,
        attached: fields.get(6)?.parse().ok()?,
        resident: fields.get(14)?.parse().ok()?,
    })
}

/// Frees all segments; those that are mapped as soon as they no longer are.
pub(super) fn remove_all() {
    segments().into_iter().for_each(remove);
}

/// Frees the segments that nobody has mapped and whose maker is gone.
pub(super) fn remove_orphans() {
    let is_orphan =
        |segment: &Segment| segment.attached == 0 && process_tree::is_over(segment.maker);
    segments().into_iter().filter(is_orphan).for_each(remove);
}

#[expect(unsafe_code, reason = "no safe function for it is to be had, and no program may be there")]
fn remove(segment: Segment) {
    // SAFETY: this command neither reads nor writes what the pointer leads to. One that is gone
    // already is what was wanted.
    unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_from_its_line_and_the_names_above_are_none() {
        let names = "       key      shmid perms                  size  cpid  lpid nattch   uid   \
                     gid  cuid  cgid      atime      dtime      ctime                   rss  swap";
        assert_eq!(parse(names), None);
        let line = "  10601189      32803   600                 65536  2551  2553      2   101   \
                    104   101   104 1795418576 1795418616 1795418576                  4096     0";
        let segment = Segment { id: 32_803, maker: 2_551, attached: 2, resident: 4_096 };
        assert_eq!(parse(line), Some(segment));
    }
}
