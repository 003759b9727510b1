//! Folders: what is in them, making and removing.

use std::{
    ffi::{CStr, CString, OsStr},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, mkdirat, openat, statat, unlinkat},
    io::Errno,
    process::{getgid, getuid},
};
use sandbox_sdk::types::{ErrorCode, FolderListing, FsEntry};

use super::{
    super::api::Problem,
    place::{Found, NEW_FOLDER, Place, folder, is_top, resolve},
    refusals::{exists, problem, shown},
};
use crate::{
    clock,
    tree::{self, Step},
};

/// Where the home folders are: nothing of ours, but people look there.
const HOMES: &str = "/home";
const LISTING: usize = 32 << 10;

/// What a folder holds, by name, at most so many entries; without `all` none that begin with a dot.
/// Links are told as links, and not followed.
pub(super) fn list(path: &str, all: bool, most: usize) -> Result<FolderListing, Problem> {
    let (open, path) = if Path::new(path) == Path::new(HOMES) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = Path::new(HOMES).to_owned();
        let open = openat(CWD, HOMES, flags, Mode::empty());
        (open.map_err(|errno| problem(&path, &errno.into()))?, path)
    } else {
        let found = Found::at(&resolve(path)?)?;
        if !found.is_folder() {
            return Err(Problem::invalid(format!("{} is not a folder", shown(&found.path))));
        }
        (found.open_folder()?, found.path)
    };
    let mut entries = Vec::new();
    let mut truncated = false;
    let mut buffer = vec![MaybeUninit::uninit(); LISTING];
    let mut names = RawDir::new(&open, &mut buffer[..]);
    while let Some(entry) = names.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // It was removed meanwhile.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(problem(&path, &errno.into())),
        };
        let name = entry.file_name();
        if name == c"." || name == c".." || (!all && name.to_bytes().starts_with(b".")) {
            continue;
        }
        if entries.len() == most {
            truncated = true;
            break;
        }
        // One that is gone meanwhile is left out.
        if let Ok(stat) = statat(&open, name, AtFlags::SYMLINK_NOFOLLOW) {
            entries.push(described(&path, name, &stat));
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(FolderListing { entries, truncated })
}

/// What is at a path itself, even if it is a link.
pub(super) fn stat(path: &str) -> Result<FsEntry, Problem> {
    let path = resolve(path)?;
    let (parent, name) = (path.parent().unwrap_or(&path), path.file_name().unwrap_or_default());
    let name = CString::new(name.as_bytes()).unwrap_or_default();
    let stat = if is_top(&path) {
        Found::at(&path)?.stat
    } else {
        let missing = || problem(&path, &Errno::NOENT.into());
        Place::of(&path, false)?.stat()?.ok_or_else(missing)?
    };
    Ok(described(parent, &name, &stat))
}

/// Whether there is anything, a link included.
pub(super) fn exists_at(path: &str) -> Result<bool, Problem> {
    resolve(path)?;
    match stat(path) {
        Ok(_) => Ok(true),
        // Nothing is below a file, either, nor under a name that none can have.
        Err(problem) if matches!(problem.code, ErrorCode::NotFound | ErrorCode::Validation) => {
            Ok(false)
        }
        Err(problem) => Err(problem),
    }
}

/// Makes a folder; with `recursive` those above it, too, and it may be there already.
pub(super) fn make(path: &str, recursive: bool) -> Result<(), Problem> {
    let path = resolve(path)?;
    if recursive || is_top(&path) {
        let made = folder(&path, recursive).map(drop);
        return if recursive { made } else { made.and(Err(exists(&path))) };
    }
    let place = Place::of(&path, false)?;
    mkdirat(&place.folder, place.name.as_c_str(), NEW_FOLDER).map_err(|errno| match errno {
        Errno::EXIST => exists(&path),
        errno => place.problem(errno),
    })
}

/// Removes what is at a path itself: a link, not what it leads to. A folder has to be empty unless
/// `recursive`. Of a sandbox's own folders only the content goes.
pub(super) fn remove(path: &str, recursive: bool) -> Result<(), Problem> {
    let path = resolve(path)?;
    if is_top(&path) {
        if !recursive {
            return Err(Problem::invalid(format!("{} can't be removed itself", shown(&path))));
        }
        return empty(&folder(&path, false)?, &path);
    }
    let place = Place::of(&path, false)?;
    let missing = || place.problem(Errno::NOENT);
    let stat = place.stat()?.ok_or_else(missing)?;
    let flags = if tree::is_folder(&stat) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    if recursive && tree::is_folder(&stat) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = openat(&place.folder, place.name.as_c_str(), flags, Mode::empty());
        empty(&open.map_err(|errno| place.problem(errno))?, &path)?;
    }
    unlinkat(&place.folder, place.name.as_c_str(), flags).map_err(|errno| match errno {
        Errno::NOTEMPTY => {
            let message = format!("{} is not empty; ask for recursive=true", shown(&path));
            Problem::new(ErrorCode::InvalidState, message)
        }
        errno => place.problem(errno),
    })
}

/// Removes all that is in an open folder. Every name is taken from the folder it was found in.
pub(crate) fn empty(open: &OwnedFd, path: &Path) -> Result<(), Problem> {
    // The dot makes it the folder itself, not the link to it.
    let root = format!("/proc/self/fd/{}/.", open.as_fd().as_raw_fd());
    let walked = tree::walk(Path::new(&root), Mode::RWXU, |step| match step {
        Step::Found { folder, name, stat } if !tree::is_folder(stat) => {
            match unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        }
        Step::Found { .. } => Ok(()),
        Step::Left { folder, name } => match unlinkat(folder, name, AtFlags::REMOVEDIR) {
            // What was put there meanwhile stays, and so does the folder.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY) => Ok(()),
            Err(errno) => Err(errno.into()),
        },
        Step::Closed(errno) => Err(errno.into()),
    });
    walked.map_err(|error| problem(path, &error))
}

fn described(folder: &Path, name: &CStr, stat: &Stat) -> FsEntry {
    let name = OsStr::from_bytes(name.to_bytes());
    let kind = FileType::from_raw_mode(stat.st_mode);
    // The one user of a sandbox is whoever the sidecar runs as: with some engines not uid 1000.
    let who = |id: u32, own: u32| if id == own { "agent".to_owned() } else { id.to_string() };
    // No time that a sandbox can give to a file overflows here.
    let time = |seconds: i64| clock::iso(seconds.clamp(0, MAX_TIME).saturating_mul(1000));
    FsEntry {
        name: name.to_string_lossy().into_owned(),
        path: folder.join(name).to_string_lossy().into_owned(),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        is_dir: kind.is_dir(),
        is_file: kind.is_file(),
        is_symlink: kind.is_symlink(),
        permissions: stat.st_mode & 0o7777,
        owner: who(stat.st_uid, getuid().as_raw()),
        group: who(stat.st_gid, getgid().as_raw()),
        mod_time: time(stat.st_mtime),
        access_time: time(stat.st_atime),
        name_is_not_utf8: name.to_str().is_none(),
    }
}

/// The end of the year 9999, in seconds: no date is longer than it should be.
const MAX_TIME: i64 = 253_402_300_799;
