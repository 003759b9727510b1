//! Unpacks an archive that may be made to break out.
//!
//! No path is ever followed by its name: each folder on the way is opened from the one above it, and
//! a link among them ends the unpacking, also one that was put there a moment ago.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use rustix::{
    fs::{
        AtFlags, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, linkat, mkdirat, openat,
        renameat, statat, symlinkat, unlinkat,
    },
    io::Errno,
};
use tar::{Archive, Entry, EntryType};

use super::{
    super::{
        api::Problem,
        files::{
            place::{FOLDERS, NEW_FOLDER, c_name, is_inside},
            refusals::{disk_full, problem, too_large},
            temporary_name,
        },
        guard::Guard,
        message::Unpacked,
    },
    MAX_ENTRIES,
    members::{Ahead, Member, plain, sparse},
    tops::Top,
};
use crate::tree;

/// Bytes that are written at once.
const PIECE: usize = 64 << 10;
/// Headers of an archive: an entry may have one more for its long name, and one for a long target.
const MAX_HEADERS: u64 = 4 * MAX_ENTRIES;
/// Bytes of an archive beside its files: long names, mostly.
const HEADERS: u64 = 256 << 20;
/// What may follow the last member.
const MAX_REST: u64 = 1 << 20;
const FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Which links an archive may have. They are never followed here; it is about whoever does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Links {
    /// Those that stay in the folders of the sandbox.
    Inside,
    /// All: the archive was packed in a sandbox, where they were before.
    AsTheyWere,
}

/// Unpacks a gzip tar into a folder; `/` for names that begin with one of the sandbox's own folders.
/// With `clear`, what was there before goes, once the archive is there as a whole; without, files
/// take the place of those of the same name, one by one.
pub(in super::super) fn unpack(
    source: impl Read,
    target: &Path,
    clear: bool,
    links: Links,
    guard: &Guard,
) -> Result<Unpacked, Problem> {
    let done = Unpacked { files: 0, bytes: 0 };
    // A whole folder comes: what was written since the last look counts, too.
    guard.look();
    let left = guard.whole_disk().saturating_add(HEADERS);
    let mut unpacking = Unpacking { tops: Vec::new(), clear, links, guard, headers: 0, left, done };
    if target != Path::new("/") {
        unpacking.tops.push(Top::open(PathBuf::new(), target, clear)?);
    }
    let mut archive = Archive::new(GzDecoder::new(source));
    let mut ahead = Ahead::default();
    for entry in archive.entries().map_err(|_| no_archive())?.raw(true) {
        let mut entry = entry.map_err(|_| no_archive())?;
        unpacking.count(entry.size())?;
        if !ahead.read(&mut entry)? {
            let member = ahead.take(&entry)?;
            unpacking.place(&member, &mut entry)?;
        }
    }
    // The checksum stands at the end.
    let rest = io::copy(&mut archive.into_inner().take(MAX_REST), &mut io::sink());
    if rest.map_err(|_| no_archive())? == MAX_REST {
        return Err(no_archive());
    }
    for top in &mut unpacking.tops {
        top.publish()?;
    }
    Ok(unpacking.done)
}

struct Unpacking<'a> {
    tops: Vec<Top>,
    clear: bool,
    links: Links,
    guard: &'a Guard,
    headers: u64,
    /// Bytes that members may still have, also those that come to nothing.
    left: u64,
    done: Unpacked,
}

impl Unpacking<'_> {
    /// Before anything of a member is read: what is unpacked costs time, too.
    fn count(&mut self, size: u64) -> Result<(), Problem> {
        let left = self.left.checked_sub(size);
        self.left = left.ok_or_else(|| too_large("an archive has", self.guard.whole_disk()))?;
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            return Err(Problem::invalid(format!("an archive has at most {MAX_ENTRIES} entries")));
        }
        Ok(())
    }

    fn place<R: Read>(&mut self, member: &Member, entry: &mut Entry<'_, R>) -> Result<(), Problem> {
        let Some((top, below)) = self.top(&member.path)? else { return Ok(()) };
        let failed = |errno: Errno| problem(&member.path, &errno.into());
        let mode = Mode::from_bits_retain(entry.header().mode().unwrap_or(0o644) & 0o777);
        let Some(name) = below.file_name().map(c_name).transpose()? else { return Ok(()) };
        let Some(open) = self.tops.get(top) else { return Ok(()) };
        let folder = open.folder(below.parent().unwrap_or(Path::new("")), self.guard)?;
        if !self.guard.enter(1) {
            return Err(disk_full());
        }
        match entry.header().entry_type() {
            EntryType::Directory => {
                match mkdirat(&folder, name.as_c_str(), NEW_FOLDER) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let made = openat(&folder, name.as_c_str(), flags | OFlags::CLOEXEC, Mode::empty());
                // Its owner must still get in, to unpack what is below and to clear it some day.
                fchmod(made.map_err(failed)?, mode | Mode::RWXU).map_err(failed)
            }
            EntryType::Regular | EntryType::Continuous => {
                self.file(&folder, &name, mode, entry).map_err(|problem| problem.of(&member.path))
            }
            EntryType::Symlink => {
                let target = CString::new(member.target.as_slice()).map_err(|_| no_archive())?;
                if self.links == Links::Inside {
                    self.check_link(top, &below, member)?;
                }
                let temporary = temporary_name();
                symlinkat(target.as_c_str(), &folder, temporary.as_c_str()).map_err(failed)?;
                renamed(&folder, &temporary, &name).map_err(failed)
            }
            EntryType::Link => {
                // A hard link's target is another member's name.
                let Some((from, old)) = self.top(&plain(&member.target)?)? else {
                    return Err(leads_out(member));
                };
                let old_name = old.file_name().map(c_name).transpose()?;
                let old_name = old_name.ok_or_else(|| leads_out(member))?;
                let Some(open) = self.tops.get(from) else { return Err(leads_out(member)) };
                let old_folder = open.folder(old.parent().unwrap_or(Path::new("")), self.guard)?;
                let stat = statat(&old_folder, old_name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
                if tree::is_folder(&stat.map_err(failed)?) {
                    return Err(leads_out(member));
                }
                let (temporary, none) = (temporary_name(), AtFlags::empty());
                let (from, to) = (old_name.as_c_str(), temporary.as_c_str());
                linkat(&old_folder, from, &folder, to, none).map_err(failed)?;
                renamed(&folder, &temporary, &name).map_err(failed)?;
                // Nothing happens when both are the same file already, and the name stays.
                unlinkat(&folder, temporary.as_c_str(), AtFlags::empty()).ok();
                Ok(())
            }
            EntryType::GNUSparse => Err(sparse()),
            _ => Err(Problem::invalid(format!(
                "the archive's member {:?} is neither a file, nor a folder, nor a link",
                member.path
            ))),
        }
    }

    /// Writes a file beside its name and moves it there.
    fn file<R: Read>(
        &mut self,
        folder: &OwnedFd,
        name: &CString,
        mode: Mode,
        entry: &mut Entry<'_, R>,
    ) -> Result<(), Failed> {
        let temporary = temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file =
            openat(folder, temporary.as_c_str(), flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
        let written = self.content(File::from(file), mode, entry);
        let placed = written.and_then(|()| renamed(folder, &temporary, name).map_err(Failed::from));
        if placed.is_err() {
            unlinkat(folder, temporary.as_c_str(), AtFlags::empty()).ok();
        }
        placed
    }

    fn content<R: Read>(
        &mut self,
        mut file: File,
        mode: Mode,
        entry: &mut Entry<'_, R>,
    ) -> Result<(), Failed> {
        let size = entry.size();
        let most = self.guard.largest_file();
        if size > most {
            return Err(too_large("files have", most).into());
        }
        let mut piece = vec![0; PIECE];
        let mut got = 0;
        loop {
            let count = entry.read(&mut piece).map_err(|_| no_archive())?;
            if count == 0 {
                break;
            }
            got += count as u64;
            self.done.bytes += count as u64;
            if !self.guard.take(count as u64) {
                return Err(disk_full().into());
            }
            file.write_all(piece.get(..count).unwrap_or_default())?;
        }
        if got != size {
            return Err(no_archive().into());
        }
        fchmod(&file, mode)?;
        let seconds = i64::try_from(entry.header().mtime().unwrap_or(0)).unwrap_or(0);
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        // A time that the disk can't have is no reason to fail.
        futimens(&file, &Timestamps { last_access: time, last_modification: time }).ok();
        self.done.files += 1;
        Ok(())
    }

    /// Where a member goes, and its name from there; `None` for what is above all of these folders.
    fn top(&mut self, member: &Path) -> Result<Option<(usize, PathBuf)>, Problem> {
        let known = |top: &Top| member.strip_prefix(&top.prefix).ok().map(Path::to_owned);
        let found = self.tops.iter().enumerate().find_map(|(i, top)| Some((i, known(top)?)));
        if found.is_some() {
            return Ok(found);
        }
        for folder in FOLDERS.iter().map(Path::new) {
            let prefix = folder.strip_prefix("/").unwrap_or(folder);
            if let Ok(below) = member.strip_prefix(prefix) {
                self.tops.push(Top::open(prefix.to_owned(), folder, self.clear)?);
                return Ok(Some((self.tops.len() - 1, below.to_owned())));
            }
            if prefix.starts_with(member) {
                return Ok(None);
            }
        }
        let message = format!("the archive's member {member:?} is in no folder of the sandbox");
        Err(Problem::invalid(message))
    }

    fn check_link(&self, top: usize, below: &Path, member: &Member) -> Result<(), Problem> {
        use std::os::unix::ffi::OsStrExt;
        let target = Path::new(std::ffi::OsStr::from_bytes(&member.target));
        let folder = self.tops.get(top).map_or(Path::new("/"), |top| top.path.as_path());
        let mut leads = folder.join(below);
        leads.pop();
        let mut is_down = false;
        for component in target.components() {
            match component {
                Component::RootDir => leads = PathBuf::from("/"),
                // What it went down to may be a link, and above that is somewhere else.
                Component::ParentDir if is_down => return Err(leads_out(member)),
                Component::ParentDir => drop(leads.pop()),
                Component::Normal(part) => {
                    is_down = true;
                    leads.push(part);
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
            // Also on its way: what is outside may be a link itself.
            if !matches!(component, Component::RootDir) && !may_lead_inside(&leads) {
                return Err(leads_out(member));
            }
        }
        if is_inside(&leads) { Ok(()) } else { Err(leads_out(member)) }
    }
}

/// Whether it is inside, or above one of the folders on the way down to it.
fn may_lead_inside(path: &Path) -> bool {
    is_inside(path) || FOLDERS.iter().any(|folder| Path::new(folder).starts_with(path))
}

/// Gives what was made under another name its own, in place of a file or link that had it.
fn renamed(folder: &OwnedFd, from: &CString, to: &CString) -> Result<(), Errno> {
    let renamed = renameat(folder, from.as_c_str(), folder, to.as_c_str());
    if renamed.is_err() {
        unlinkat(folder, from.as_c_str(), AtFlags::empty()).ok();
    }
    renamed
}

/// Opens the folders below an open one, and makes those that are missing, as long as `one_more` may
/// be. None may be a link.
pub(super) fn below(
    top: &OwnedFd,
    path: &Path,
    mut one_more: impl FnMut() -> bool,
) -> Result<OwnedFd, Errno> {
    let mut open = openat(top, c".", FOLDER, Mode::empty())?;
    for name in path {
        open = match openat(&open, name, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => {
                if !one_more() {
                    return Err(Errno::DQUOT);
                }
                match mkdirat(&open, name, NEW_FOLDER) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                openat(&open, name, FOLDER, Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(open)
}

/// A file that could not be written, before it is said which.
enum Failed {
    Problem(Problem),
    Disk(io::Error),
}

impl Failed {
    fn of(self, path: &Path) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::Disk(error) => problem(path, &error),
        }
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        Self::Disk(errno.into())
    }
}

fn leads_out(member: &Member) -> Problem {
    Problem::invalid(format!("the archive's link {:?} leads out of the sandbox", member.path))
}

fn no_archive() -> Problem {
    Problem::invalid("the archive is no gzip tar, or not a whole one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_for_long_names_are_not_taken_for_entries() {
        let guard = &Guard::new(crate::driver::Limits::default(), false);
        let (tops, done) = (Vec::new(), Unpacked { files: 0, bytes: 0 });
        let (clear, links) = (false, Links::AsTheyWere);
        let mut unpacking = Unpacking { tops, clear, links, guard, headers: 0, left: 0, done };
        assert!((0..3 * MAX_ENTRIES).all(|_| unpacking.count(0).is_ok()));
    }

    #[test]
    fn every_folder_that_is_made_on_the_way_counts() {
        let folder = tempfile::tempdir().unwrap();
        let top = rustix::fs::open(folder.path(), FOLDER, Mode::empty()).unwrap();
        let count = |most: u32| {
            let mut made = 0;
            let opened = below(&top, Path::new("a/b/c/d"), || {
                made += 1;
                made <= most
            });
            opened.map(|_| made)
        };
        assert_eq!(count(2).unwrap_err(), Errno::DQUOT);
        assert!(folder.path().join("a/b").is_dir() && !folder.path().join("a/b/c").exists());
        assert_eq!(count(2).unwrap(), 2);
        assert_eq!(count(2).unwrap(), 0);
    }
}
