//! A folder that an archive is unpacked into.

use std::{
    ffi::CString,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RawDir, mkdirat, openat, renameat, unlinkat},
    io::Errno,
};
use uuid::Uuid;

use super::{
    super::{
        api::Problem,
        files::{empty, place, refusals::problem, temporary_name},
        guard::Guard,
    },
    unpack,
};
use crate::tree;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const LISTING: usize = 32 << 10;
/// How often something is put out of the way that is there again at once.
const TRIES: usize = 8;

/// With what is unpacked beside its content, if that is to be replaced.
#[derive(Debug)]
pub(super) struct Top {
    /// What the names of its members begin with.
    pub(super) prefix: PathBuf,
    /// Absolute inside the sandbox.
    pub(super) path: PathBuf,
    open: OwnedFd,
    /// Where the members are until all of them are there.
    beside: Option<(CString, OwnedFd)>,
}

impl Top {
    pub(super) fn open(prefix: PathBuf, path: &Path, clear: bool) -> Result<Self, Problem> {
        let failed = |errno: Errno| problem(path, &errno.into());
        let open = place::folder(path, true)?;
        let beside = if clear {
            let name = temporary_name();
            mkdirat(&open, name.as_c_str(), Mode::RWXU).map_err(failed)?;
            let made = openat(&open, name.as_c_str(), FOLDER, Mode::empty()).map_err(failed)?;
            Some((name, made))
        } else {
            None
        };
        Ok(Self { prefix, path: path.to_owned(), open, beside })
    }

    /// The folder for a member's name, made if it is missing.
    pub(super) fn folder(&self, path: &Path, guard: &Guard) -> Result<OwnedFd, Problem> {
        let top = self.beside.as_ref().map_or(&self.open, |(_, beside)| beside);
        let folder = unpack::below(top, path, || guard.enter(1));
        folder.map_err(|errno| problem(&self.path.join(path), &errno.into()))
    }

    /// Puts the new content in the old one's place: everything is moved, nothing copied, so that it
    /// takes a moment. When the old content can't be moved it stays.
    pub(super) fn publish(&mut self) -> Result<(), Problem> {
        let Some((name, beside)) = &self.beside else { return Ok(()) };
        let failed = |errno: Errno| problem(&self.path, &errno.into());
        let old_name = name_for_old();
        mkdirat(&self.open, old_name.as_c_str(), Mode::RWXU).map_err(failed)?;
        let old = openat(&self.open, old_name.as_c_str(), FOLDER, Mode::empty()).map_err(failed)?;
        let kept = [name, &old_name];
        let mut moved = move_all(&self.open, &old, &old, &kept);
        if moved.is_ok() {
            moved = move_all(beside, &self.open, &old, &[]);
            if moved.is_err() {
                move_all(&self.open, beside, beside, &kept).ok();
            }
        }
        if let Err(errno) = moved {
            // As it was before, as far as that goes.
            move_all(&old, &self.open, beside, &[]).ok();
            unlinkat(&self.open, old_name.as_c_str(), AtFlags::REMOVEDIR).ok();
            return Err(failed(errno));
        }
        // From here on nobody needs it.
        let rubbish = temporary_name();
        renameat(&self.open, old_name.as_c_str(), &self.open, rubbish.as_c_str())
            .map_err(failed)?;
        empty(&old, &self.path)?;
        unlinkat(&self.open, rubbish.as_c_str(), AtFlags::REMOVEDIR).map_err(failed)
    }
}

/// What was not published is removed, and the empty folder of what was.
impl Drop for Top {
    fn drop(&mut self) {
        if let Some((name, beside)) = &self.beside {
            // Nobody is left to tell.
            empty(beside, &self.path).ok();
            unlinkat(&self.open, name.as_c_str(), AtFlags::REMOVEDIR).ok();
        }
    }
}

/// A name for what was there before. It is none of those that are cleaned up: whoever is killed while
/// things are moved leaves it to the sandbox's owner.
fn name_for_old() -> CString {
    CString::new(format!(".skein-old-{}", Uuid::now_v7().simple())).unwrap_or_default()
}

/// Moves all names but some from one folder to another. What somebody has put in the way there goes
/// aside.
fn move_all(from: &OwnedFd, to: &OwnedFd, aside: &OwnedFd, kept: &[&CString]) -> Result<(), Errno> {
    for name in names(from)? {
        if kept.contains(&&name) {
            continue;
        }
        let mut moved = renameat(from, name.as_c_str(), to, name.as_c_str());
        for _ in 0..TRIES {
            match moved {
                // A folder moves only if its owner may write to it.
                Err(Errno::ACCESS) => {
                    tree::unlock(from.as_fd(), name.as_c_str(), Mode::RWXU).ok();
                }
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::ISDIR | Errno::NOTDIR) => {
                    let other = temporary_name();
                    renameat(to, name.as_c_str(), aside, other.as_c_str()).ok();
                }
                _ => break,
            }
            moved = renameat(from, name.as_c_str(), to, name.as_c_str());
        }
        match moved {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let open = openat(folder, c".", FOLDER, Mode::empty())?;
    let mut buffer = vec![MaybeUninit::uninit(); LISTING];
    let mut entries = RawDir::new(&open, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    Ok(names)
}
