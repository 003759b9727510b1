//! The regular files below a folder, in the order of their names.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    vec,
};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, statat};

use super::Watch;

/// Folders that hold other people's work.
const SKIPPED: [&[u8]; 4] = [b".git", b"node_modules", b"target", b"__pycache__"];
/// Folders within folders. Each that is walked is open.
const MAX_DEPTH: usize = 64;
/// Files and folders that are looked at.
const MAX_ENTRIES: usize = 500_000;
/// No device does anything when it is opened so, and nobody waits for the other end of a pipe.
const QUIETLY: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// A file that the walk comes by.
pub(super) struct Found<'a> {
    /// Its path below the root; empty if it is the root.
    pub(super) below: &'a str,
    at: At<'a>,
}

enum At<'a> {
    Open(&'a OwnedFd),
    In { folder: BorrowedFd<'a>, name: &'a CStr },
}

impl Found<'_> {
    /// `None`: it can't be read, or is something else by now.
    pub(super) fn open(&self) -> Option<File> {
        let file = match &self.at {
            At::Open(file) => file.try_clone().ok()?,
            At::In { folder, name } => openat(folder, *name, QUIETLY, Mode::empty()).ok()?,
        };
        let stat = fstat(&file).ok()?;
        FileType::from_raw_mode(stat.st_mode).is_file().then(|| file.into())
    }
}

/// A folder that is being walked.
struct Level {
    folder: OwnedFd,
    /// Below the root, with a slash at its end unless it is the root.
    path: String,
    names: vec::IntoIter<CString>,
}

/// Visits files until `visit` wants no more. Links are not followed, other file systems not entered.
/// Whether all were visited, or as many as were wanted.
///
/// # Errors
/// When the root can't be opened.
pub(super) fn files(
    root: &Path,
    watch: &Watch,
    visit: &mut dyn FnMut(Found<'_>) -> bool,
) -> io::Result<bool> {
    let opened = openat(CWD, root, QUIETLY, Mode::empty())?;
    let stat = fstat(&opened)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            visit(Found { below: "", at: At::Open(&opened) });
            return Ok(true);
        }
        FileType::Directory => {}
        _ => return Err(io::Error::other("it is neither a folder nor a file")),
    }
    let (device, mut room, mut whole) = (stat.st_dev, MAX_ENTRIES, true);
    let mut levels = vec![Level::list(opened, String::new(), &mut room)?];
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        let Some(name) = level.names.next() else {
            levels.pop();
            continue;
        };
        if watch.is_over() {
            return Ok(false);
        }
        let Ok(stat) = statat(&level.folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let path = format!("{}{}", level.path, name.to_string_lossy());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let at = At::In { folder: level.folder.as_fd(), name: &name };
                if !visit(Found { below: &path, at }) {
                    return Ok(true);
                }
            }
            FileType::Directory if stat.st_dev == device && !SKIPPED.contains(&name.to_bytes()) => {
                if depth > MAX_DEPTH || room == 0 {
                    whole = false;
                    continue;
                }
                let flags = QUIETLY.union(OFlags::DIRECTORY);
                let Ok(folder) = openat(&level.folder, name.as_c_str(), flags, Mode::empty())
                else {
                    continue;
                };
                // What can't be listed is passed over, as what can't be opened is.
                if let Ok(below) = Level::list(folder, path + "/", &mut room) {
                    levels.push(below);
                }
            }
            _ => {}
        }
    }
    Ok(whole && room > 0)
}

impl Level {
    fn list(folder: OwnedFd, path: String, room: &mut usize) -> io::Result<Self> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            if *room == 0 {
                break;
            }
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                *room -= 1;
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort_unstable();
        Ok(Self { folder, path, names: names.into_iter() })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        time::{Duration, Instant},
    };

    use tokio_util::sync::CancellationToken;

    use super::*;

    fn watch() -> Watch {
        let deadline = Instant::now() + Duration::from_secs(600);
        Watch { given_up: CancellationToken::new(), deadline }
    }

    fn paths(root: &Path, watch: &Watch) -> (Vec<String>, bool) {
        let mut paths = Vec::new();
        let whole = files(root, watch, &mut |file| {
            assert!(file.open().is_some());
            paths.push(file.below.to_owned());
            true
        });
        (paths, whole.unwrap())
    }

    #[test]
    fn files_come_by_name_and_links_pipes_and_other_peoples_work_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["src/deep", "node_modules/x", ".git"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["b", "a", "src/deep/c", "node_modules/x/d", ".git/e"] {
            fs::write(root.join(path), "x").unwrap();
        }
        symlink("/etc", root.join("folder-link")).unwrap();
        symlink(root, root.join("loop")).unwrap();
        symlink("a", root.join("file-link")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, mode, 0).unwrap();
        let expected: Vec<String> = ["a", "b", "src/deep/c"].map(str::to_owned).into();
        assert_eq!(paths(root, &watch()), (expected, true));
        assert_eq!(paths(&root.join("a"), &watch()), (vec![String::new()], true));
        assert!(files(&root.join("pipe"), &watch(), &mut |_| true).is_err());
        assert!(files(&root.join("file-link"), &watch(), &mut |_| true).is_err());
    }

    #[test]
    fn folders_within_folders_end_somewhere() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d/".repeat(MAX_DEPTH + 20));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("hidden"), "x").unwrap();
        assert_eq!(paths(folder.path(), &watch()), (Vec::new(), false));
    }

    #[test]
    fn whoever_gives_up_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "x").unwrap();
        let watch = watch();
        watch.given_up.cancel();
        assert_eq!(paths(folder.path(), &watch), (Vec::new(), false));
    }
}
