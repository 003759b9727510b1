//! Where a path leads, and that it stays in the folders a sandbox owns.
//!
//! What runs inside may change any name at any time. So a path is walked folder by folder, each one
//! opened and then looked at where it really is; whatever is done is done relative to the last of
//! them, under one name that no link is followed for.

use std::{
    ffi::{CString, OsStr},
    fs::{self, File},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, statat},
    io::Errno,
};
use sandbox_sdk::types::ErrorCode;

use super::{
    super::{HOME, OTHER_HOME, WORKSPACE, api::Problem},
    refusals::{not_regular, outside, problem},
};

/// Where files may be.
pub(crate) const FOLDERS: &[&str] = &[WORKSPACE, HOME, "/tmp"];
/// Longest path, as the system has it.
const MAX_PATH: usize = 4096;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const ANYTHING: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// For folders that are made on the way.
pub(crate) const NEW_FOLDER: Mode = Mode::from_bits_retain(0o755);

/// A name in an open folder.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: OwnedFd,
    pub(crate) name: CString,
    pub(crate) path: PathBuf,
}

/// Something that was found, links followed.
#[derive(Debug)]
pub(crate) struct Found {
    /// Only for looking at it.
    pub(crate) file: OwnedFd,
    pub(crate) stat: Stat,
    pub(crate) path: PathBuf,
}

/// The absolute path that is meant, without `.` and `..`, if it is one the sandbox owns.
pub(crate) fn resolve(path: &str) -> Result<PathBuf, Problem> {
    if path.is_empty() || path.contains('\0') {
        return Err(Problem::invalid("path must not be empty or hold a zero byte"));
    }
    if path.len() >= MAX_PATH {
        return Err(Problem::invalid("path is too long"));
    }
    let mut resolved = PathBuf::new();
    for component in Path::new(WORKSPACE).join(path).components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir | Component::Prefix(_) => {}
            Component::RootDir | Component::Normal(_) => resolved.push(component),
        }
    }
    if let Ok(below) = resolved.strip_prefix(OTHER_HOME) {
        resolved = Path::new(HOME).join(below);
        // An empty rest leaves a slash behind.
        resolved = resolved.components().collect();
    }
    if is_inside(&resolved) { Ok(resolved) } else { Err(outside(Path::new(path))) }
}

/// Whether a path without `..` is in one of the folders.
pub(crate) fn is_inside(path: &Path) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Whether it is one of the folders itself, which stays whatever happens in it.
pub(crate) fn is_top(path: &Path) -> bool {
    FOLDERS.iter().any(|folder| path == Path::new(folder))
}

impl Place {
    /// The name at a path's end in the folder that it is in; with `make`, folders that are missing
    /// are made.
    pub(crate) fn of(path: &Path, make: bool) -> Result<Self, Problem> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(outside(path));
        };
        if is_top(path) {
            return Err(Problem::invalid(format!("{} can't be changed itself", path.display())));
        }
        let folder = folder(parent, make).map_err(|refused| match refused.code {
            // Whoever asks for a file asks for no folder that is missing on the way.
            ErrorCode::NotFound => problem(path, &Errno::NOENT.into()),
            _ => refused,
        })?;
        Ok(Self { folder, name: c_name(name)?, path: path.to_owned() })
    }

    /// What is there itself, even if it is a link.
    pub(crate) fn stat(&self) -> Result<Option<Stat>, Problem> {
        match statat(&self.folder, self.name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.problem(errno)),
        }
    }

    /// Where a file is to be written: a link to a file inside is followed. With what is there now.
    pub(crate) fn for_file(path: &Path) -> Result<(Self, Option<Stat>), Problem> {
        let place = Self::of(path, true)?;
        match place.stat()? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_symlink() => {
                let file = openat(&place.folder, place.name.as_c_str(), ANYTHING, Mode::empty());
                let file = file.map_err(|errno| match errno {
                    Errno::NOENT => Problem::invalid("path is a link that leads nowhere"),
                    errno => place.problem(errno),
                })?;
                let found = Found::new(file, path)?.regular()?;
                let place = Self::of(&real(&found.file, path)?, false)?;
                Ok((place, Some(found.stat)))
            }
            Some(stat) if !FileType::from_raw_mode(stat.st_mode).is_file() => {
                Err(not_regular(path, stat.st_mode))
            }
            stat => Ok((place, stat)),
        }
    }

    pub(crate) fn problem(&self, errno: Errno) -> Problem {
        problem(&self.path, &errno.into())
    }
}

impl Found {
    /// What a path leads to. It is only looked up: a FIFO does not wait, and a device does nothing.
    pub(crate) fn at(path: &Path) -> Result<Self, Problem> {
        let file = if is_top(path) {
            folder(path, false)?
        } else {
            let place = Place::of(path, false)?;
            openat(&place.folder, place.name.as_c_str(), ANYTHING, Mode::empty())
                .map_err(|errno| place.problem(errno))?
        };
        Self::new(file, path)
    }

    fn new(file: OwnedFd, path: &Path) -> Result<Self, Problem> {
        let stat = fstat(&file).map_err(|errno| problem(path, &errno.into()))?;
        Ok(Self { file, stat, path: path.to_owned() })
    }

    pub(crate) fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode).is_dir()
    }

    fn regular(self) -> Result<Self, Problem> {
        if !FileType::from_raw_mode(self.stat.st_mode).is_file() {
            return Err(not_regular(&self.path, self.stat.st_mode));
        }
        real(&self.file, &self.path)?;
        Ok(self)
    }

    /// Opens the regular file that was found, for reading.
    pub(crate) fn open(self) -> Result<(File, u64), Problem> {
        let found = self.regular()?;
        let size = u64::try_from(found.stat.st_size).unwrap_or(0);
        // The very file that was looked at, whatever its name leads to by now.
        let file = File::open(own_descriptor(&found.file));
        Ok((file.map_err(|error| problem(&found.path, &error))?, size))
    }

    /// The folder that was found, opened for listing.
    pub(crate) fn open_folder(&self) -> Result<OwnedFd, Problem> {
        real(&self.file, &self.path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.file, c".", flags, Mode::empty())
            .map_err(|errno| problem(&self.path, &errno.into()))
    }

    /// The same, if it is inside.
    pub(crate) fn inside(self) -> Result<Self, Problem> {
        real(&self.file, &self.path)?;
        Ok(self)
    }

    /// Where it really is.
    pub(crate) fn real_path(&self) -> Result<PathBuf, Problem> {
        real(&self.file, &self.path)
    }
}

/// Opens a folder, one after the other of those above it; links are followed as long as they stay
/// inside.
pub(crate) fn folder(path: &Path, make: bool) -> Result<OwnedFd, Problem> {
    let failed = |errno: Errno| problem(path, &errno.into());
    let top = FOLDERS.iter().find(|folder| path.starts_with(folder));
    let top = Path::new(top.ok_or_else(|| outside(path))?);
    let mut open = openat(CWD, top, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
    for name in path.strip_prefix(top).unwrap_or(Path::new("")).iter() {
        let name = c_name(name)?;
        open = match openat(&open, name.as_c_str(), FOLDER, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match mkdirat(&open, name.as_c_str(), NEW_FOLDER) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                // A link that leads nowhere is no folder.
                openat(&open, name.as_c_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty())
            }
            opened => opened,
        }
        .map_err(failed)?;
        real(&open, path)?;
    }
    Ok(open)
}

/// Where something open is, if that is inside.
fn real(file: impl AsFd, path: &Path) -> Result<PathBuf, Problem> {
    match fs::read_link(own_descriptor(file)) {
        Ok(real) if is_inside(&real) => Ok(real),
        _ => Err(outside(path)),
    }
}

fn own_descriptor(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

pub(crate) fn c_name(name: &OsStr) -> Result<CString, Problem> {
    CString::new(name.as_bytes()).map_err(|_| Problem::invalid("a name must not hold a zero byte"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn relative_paths_start_in_the_workspace() {
        assert_eq!(resolve("a/./b.txt").unwrap(), Path::new("/workspace/a/b.txt"));
        assert_eq!(resolve("/home/agent/x").unwrap(), Path::new("/home/agent/x"));
        assert_eq!(resolve("a/../b").unwrap(), Path::new("/workspace/b"));
        assert_eq!(resolve("/workspace/").unwrap(), Path::new("/workspace"));
        assert_eq!(resolve("/home/user").unwrap().as_os_str(), "/home/agent");
        assert_eq!(resolve("/home/user/x").unwrap(), Path::new("/home/agent/x"));
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let paths =
            ["../etc/passwd", "/etc/shadow", "/proc/self/environ", "a/../../x", "/workspacex", "/"];
        for path in paths {
            assert_eq!(resolve(path).unwrap_err().code, ErrorCode::Forbidden, "{path}");
        }
    }

    #[test]
    fn empty_long_and_cut_paths_are_refused() {
        for path in ["", "a\0b", &"x/".repeat(3000)] {
            assert_eq!(resolve(path).unwrap_err().code, ErrorCode::Validation, "{path:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_what_was_asked_for_and_no_folder_on_the_way() {
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let asked = folder.path().join("none/deep/x.txt");
        let missing = Found::at(&asked).unwrap_err();
        let asked = asked.to_str().unwrap();
        assert_eq!(missing.code, ErrorCode::NotFound);
        assert_eq!(missing.about(), [("resourceType", "file"), ("resourceId", asked)]);
        assert_eq!(missing.message, format!("{asked}: no such file or directory"));
        // What is wrong with a folder on the way is told of the folder.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let wrong = Found::at(&file.join("x.txt")).unwrap_err();
        assert_eq!(wrong.code, ErrorCode::Validation);
        assert_eq!(wrong.message, format!("{}: not a directory", file.display()));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_inside_and_plain(path in r"(\.\.|\.|/|a|workspace|home|user|tmp|%2e|\PC){0,20}") {
            if let Ok(resolved) = resolve(&path) {
                prop_assert!(is_inside(&resolved));
                let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
                prop_assert!(resolved.components().all(is_plain));
            }
        }
    }
}
