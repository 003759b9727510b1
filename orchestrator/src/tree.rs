//! Walks a folder that a sandbox has filled, maybe to break whoever walks it: nested deeper than a
//! path can be long, closed to everyone, or changed meanwhile.
//!
//! Every step is relative to an open folder, so no path is ever too long. The open folders are
//! counted, and nothing here recurses, so no depth is too deep.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fchmod, fstat, openat, statat},
    io::Errno,
    path::Arg,
};

/// Levels whose folders stay open while what is below them is walked. Only from below these the way
/// back leads over `..`, where a folder that is moved meanwhile breaks the walk off.
const OPEN_LEVELS: usize = 16;
/// How often a folder is opened to us that is closed again at once.
const TRIES: usize = 8;
const LISTING: usize = 32 * 1024;
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PATH: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a walk comes by.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A name in the folder. If it is itself a folder, it is entered later.
    Found { folder: BorrowedFd<'a>, name: &'a CStr, stat: &'a Stat },
    /// All that is in the folder of this name has been walked; `folder` is the one above it.
    Left { folder: BorrowedFd<'a>, name: &'a CStr },
    /// Something that can't be looked at.
    Closed(Errno),
}

/// A folder on the way from the root to where the walk is.
struct Level {
    /// Its name in the folder above.
    name: CString,
    /// The last level is always open.
    open: Option<OwnedFd>,
    id: (u64, u64),
    /// Folders in it that are still to be walked.
    waiting: Vec<CString>,
}

/// Walks all that is below a folder, the deepest first. Links are not followed, and what vanishes
/// meanwhile is passed over. `need`: what the owner must be allowed in a folder; it is given where
/// it is missing.
///
/// # Errors
/// What `visit` returns; when the root can't be opened; when a folder far down is moved meanwhile;
/// when this process has no more descriptors or memory.
pub(crate) fn walk(
    root: &Path,
    need: Mode,
    mut visit: impl FnMut(Step<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut listing = Vec::with_capacity(LISTING);
    let mut level = Level::enter(CWD, root, CString::default(), need)?;
    level.list(&mut listing, &mut visit)?;
    let mut levels = vec![level];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.waiting.pop() {
            match Level::enter(level.folder()?, name.as_c_str(), name.clone(), need) {
                Ok(mut below) => {
                    below.list(&mut listing, &mut visit)?;
                    if levels.len() > OPEN_LEVELS
                        && let Some(above) = levels.last_mut()
                    {
                        above.open = None;
                    }
                    levels.push(below);
                }
                // Gone, or something else by now.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                // No property of the folder.
                Err(errno) if is_shortage(errno) => return Err(errno.into()),
                Err(errno) => visit(Step::Closed(errno))?,
            }
        } else if let Some(done) = levels.pop()
            && let Some(above) = levels.last_mut()
        {
            if above.open.is_none() {
                above.open = Some(done.back_to(above.id)?);
            }
            visit(Step::Left { folder: above.folder()?, name: &done.name })?;
        }
    }
    Ok(())
}

/// Whether it was this process that had too little, not the folder that could not be read.
pub(crate) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// Whether it is a folder itself, not a link to one.
pub(crate) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_dir()
}

impl Level {
    fn enter(
        folder: BorrowedFd<'_>,
        path: impl Arg + Copy,
        name: CString,
        need: Mode,
    ) -> Result<Self, Errno> {
        let mut opened = openat(folder, path, FOLDER, Mode::empty());
        for _ in 0..TRIES {
            if !matches!(opened, Err(Errno::ACCESS)) {
                break;
            }
            unlock(folder, path, need)?;
            opened = openat(folder, path, FOLDER, Mode::empty());
        }
        let opened = opened?;
        let stat = fstat(&opened)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        if !mode.contains(need) {
            // Root can do without; for everyone else the next step fails, and says so.
            fchmod(&opened, mode | need).ok();
        }
        let id = (stat.st_dev, stat.st_ino);
        Ok(Self { name, open: Some(opened), id, waiting: Vec::new() })
    }

    fn folder(&self) -> io::Result<BorrowedFd<'_>> {
        self.open.as_ref().map(AsFd::as_fd).ok_or_else(moved)
    }

    /// Shows all that is in the folder, and keeps the names of folders.
    fn list(
        &mut self,
        listing: &mut Vec<u8>,
        visit: &mut impl FnMut(Step<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let folder = self.open.as_ref().map(AsFd::as_fd).ok_or_else(moved)?;
        let mut entries = RawDir::new(folder, listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // The folder itself was removed.
                Err(Errno::NOENT) => break,
                Err(errno) => return visit(Step::Closed(errno)),
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    visit(Step::Found { folder, name, stat: &stat })?;
                    if is_folder(&stat) {
                        self.waiting.push(name.to_owned());
                    }
                }
                Err(Errno::NOENT) => {}
                Err(errno) => visit(Step::Closed(errno))?,
            }
        }
        Ok(())
    }

    /// The folder above, if it still is the one the walk came from.
    fn back_to(&self, id: (u64, u64)) -> io::Result<OwnedFd> {
        let above = openat(self.folder()?, c"..", FOLDER, Mode::empty())?;
        let stat = fstat(&above)?;
        if (stat.st_dev, stat.st_ino) == id { Ok(above) } else { Err(moved()) }
    }
}

/// Lets the owner into a folder. Through its descriptor, since the name may lead elsewhere by now.
pub(crate) fn unlock(folder: BorrowedFd<'_>, path: impl Arg, need: Mode) -> Result<(), Errno> {
    let closed = openat(folder, path, PATH, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&closed)?.st_mode);
    rustix::fs::chmod(format!("/proc/self/fd/{}", closed.as_raw_fd()), mode | need)
}

fn moved() -> io::Error {
    io::Error::other("a folder was moved while it was walked")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use rustix::fs::{mkdirat, unlinkat};

    use super::*;

    /// In memory where that is possible: a disk takes long for so many folders.
    pub(crate) fn folder() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    /// Folders in folders, `depth` of them, each with a file.
    pub(crate) fn nest(root: &Path, name: &str, depth: usize) {
        let mut folder = openat(CWD, root, FOLDER, Mode::empty()).unwrap();
        for _ in 0..depth {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&folder, c"file", flags, Mode::RUSR).unwrap();
            mkdirat(&folder, name, Mode::RWXU).unwrap();
            folder = openat(&folder, name, FOLDER, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn a_walk_sees_everything_below_any_depth_and_leaves_every_folder_after_what_is_in_it() {
        let dir = folder();
        // Longer than any path, and deeper than there are descriptors.
        nest(dir.path(), &"n".repeat(100), 3_000);
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        let (mut files, mut folders, mut left) = (0, 0, 0);
        walk(dir.path(), Mode::empty(), |step| {
            match step {
                Step::Found { stat, .. } if is_folder(stat) => folders += 1,
                Step::Found { .. } => files += 1,
                Step::Left { .. } => left += 1,
                Step::Closed(errno) => panic!("{errno}"),
            }
            assert!(left == 0 || folders == 3_000, "the deepest comes first");
            Ok(())
        })
        .unwrap();
        assert_eq!((files, folders, left), (3_001, 3_000, 3_000));
        // The temporary folder's own removal would go down level by level.
        walk(dir.path(), Mode::RWXU, |step| match step {
            Step::Left { folder, name } => Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?),
            Step::Found { folder, name, stat } if !is_folder(stat) => {
                Ok(unlinkat(folder, name, AtFlags::empty())?)
            }
            _ => Ok(()),
        })
        .unwrap();
    }

    #[test]
    fn folders_beside_each_other_far_down_are_all_found() {
        let dir = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = (0..60).map(|level| format!("d{level}")).collect();
        for name in ["a", "b", "c"] {
            std::fs::create_dir_all(dir.path().join(&deep).join(name).join("x")).unwrap();
        }
        let mut names = BTreeSet::new();
        walk(dir.path(), Mode::empty(), |step| {
            if let Step::Left { name, .. } = step {
                names.insert(name.to_string_lossy().into_owned());
            }
            Ok(())
        })
        .unwrap();
        assert!(["a", "b", "c", "x", "d0", "d59"].iter().all(|name| names.contains(*name)));
    }
}
