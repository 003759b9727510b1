//! A file that is being written. Nobody sees it under its own name before it is whole.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, Mode, OFlags, RenameFlags, fchmod, fstat, openat, renameat, renameat_with,
        unlinkat,
    },
    io::Errno,
};
use sandbox_sdk::types::FileMode;
use uuid::Uuid;

use super::{
    super::{api::Problem, guard::Guard},
    place::Place,
    refusals::{disk_full, exists, not_regular, problem, too_large},
};

/// Beginning of names that files and folders have until they are whole.
const TEMPORARY: &str = ".skein-part-";
/// Bytes that are taken from a source at once.
const PIECE: usize = 64 << 10;
const PERMISSIONS: Mode = Mode::from_bits_retain(0o777);
const NEW_FILE: Mode = Mode::from_bits_retain(0o644);

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Replace,
    Refuse,
}

/// Removed again unless it is published.
#[derive(Debug)]
pub(super) struct Draft {
    place: Place,
    temporary: CString,
    file: File,
    size: u64,
    published: bool,
}

impl Draft {
    /// Begins a file in the folder that it will be in.
    pub(super) fn begin(place: Place) -> Result<Self, Problem> {
        let temporary = temporary_name();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC;
        let file = openat(&place.folder, temporary.as_c_str(), flags, NEW_FILE);
        let file = File::from(file.map_err(|errno| place.problem(errno))?);
        Ok(Self { place, temporary, file, size: 0, published: false })
    }

    /// Begins the file that a path leads to, with the mode that it has or will have.
    pub(super) fn of(
        path: &Path,
        mode: Option<FileMode>,
        existing: Existing,
    ) -> Result<Self, Problem> {
        let (place, there) = Place::for_file(path)?;
        if there.is_some() && existing == Existing::Refuse {
            return Err(exists(path));
        }
        let old = there.map(|stat| Mode::from_raw_mode(stat.st_mode) & PERMISSIONS);
        let draft = Self::begin(place)?;
        if let Some(mode) = mode.map(|mode| Mode::from_bits_retain(mode.bits())).or(old) {
            fchmod(&draft.file, mode).map_err(|errno| draft.place.problem(errno))?;
        }
        Ok(draft)
    }

    /// Copies all there is of a source, at most so many bytes and no more than the disk has room for.
    pub(super) fn fill(
        &mut self,
        source: &mut impl Read,
        most: u64,
        guard: &Guard,
    ) -> Result<(), Problem> {
        let mut piece = vec![0; PIECE];
        loop {
            let count = match source.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(unread()),
            };
            let bytes = piece.get(..count).unwrap_or_default();
            self.write(bytes, most, guard)?;
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8], most: u64, guard: &Guard) -> Result<(), Problem> {
        let size = self.size + bytes.len() as u64;
        if size > most {
            return Err(too_large("files have", most));
        }
        if !guard.take(bytes.len() as u64) {
            return Err(disk_full());
        }
        self.file.write_all(bytes).map_err(|error| problem(&self.place.path, &error))?;
        self.size = size;
        Ok(())
    }

    /// Gives the file its name. Returns its size in bytes.
    pub(super) fn publish(mut self, existing: Existing) -> Result<u64, Problem> {
        let folder = &self.place.folder;
        let (from, to) = (self.temporary.as_c_str(), self.place.name.as_c_str());
        let renamed = match existing {
            Existing::Replace => renameat(folder, from, folder, to),
            Existing::Refuse => renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE),
        };
        match renamed {
            Ok(()) => {
                self.published = true;
                Ok(self.size)
            }
            Err(Errno::EXIST) if existing == Existing::Refuse => Err(exists(&self.place.path)),
            // It became a folder meanwhile.
            Err(Errno::ISDIR) => Err(not_regular(&self.place.path, libc::S_IFDIR)),
            Err(errno) => Err(self.place.problem(errno)),
        }
    }

    /// Becomes the content of another draft, without a copy.
    ///
    /// # Errors
    /// `XDEV`: the other one is on another disk, and nothing has changed.
    pub(super) fn become_content_of(&mut self, other: &mut Self) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(fstat(&other.file)?.st_mode) & PERMISSIONS;
        let (from, to) = (self.temporary.as_c_str(), other.temporary.as_c_str());
        renameat(&self.place.folder, from, &other.place.folder, to)?;
        self.published = true;
        std::mem::swap(&mut self.file, &mut other.file);
        other.size = self.size;
        fchmod(&other.file, mode)
    }

    /// The content so far, from its beginning, for copying it elsewhere.
    pub(super) fn content(&mut self) -> Result<&mut File, Problem> {
        self.file.rewind().map_err(|error| problem(&self.place.path, &error))?;
        Ok(&mut self.file)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Nobody is left to tell.
            unlinkat(&self.place.folder, self.temporary.as_c_str(), AtFlags::empty()).ok();
        }
    }
}

/// A name that nobody else has.
pub(crate) fn temporary_name() -> CString {
    CString::new(format!("{TEMPORARY}{}", Uuid::now_v7().simple())).unwrap_or_default()
}

/// Whether it is such a name.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.as_bytes().starts_with(TEMPORARY.as_bytes())
}

/// The body of a request did not come to its end.
pub(crate) fn unread() -> Problem {
    Problem::invalid("the body could not be read to its end")
}
