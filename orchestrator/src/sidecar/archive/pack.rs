//! Packs folders while they are in use.
//!
//! Every file is read from where it was found, and has in the archive the size that it had when it
//! was opened: what became shorter is filled up with zeros, so that the archive is always whole.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};
use rustix::{
    fs::{FileType, Mode, OFlags, Stat, fstat, lstat, openat, readlinkat},
    io::Errno,
};
use tar::{Builder, EntryType, Header};
use tokio::sync::oneshot;

use super::{
    super::{
        api::Problem,
        aside::aside,
        files::{Sink, is_temporary, outward},
    },
    MAX_ENTRIES, MAX_NAME,
};
use crate::tree::{self, Step};

/// Longest target of a link that stands in a header as it is.
const SHORT_TARGET: usize = 100;

/// A gzip tar of all that is at what was opened (only looked up). Names begin below `base`. Links
/// are kept as links; FIFOs, sockets and devices are left out, and so is what has a longer name than
/// is unpacked. A comment at the end says how many, and so does what comes beside the body, before
/// it is whole. More than `most` bytes, or a disk that can't be read, break the body off. `kept` is
/// held until all is packed or nobody reads any more.
pub(in super::super) fn packed(
    opened: Vec<OwnedFd>,
    base: PathBuf,
    most: u64,
    kept: impl Send + 'static,
) -> Result<(Body, oneshot::Receiver<u64>), Problem> {
    let (writer, body) = outward();
    let (told, skipped) = oneshot::channel();
    drop(aside(move || {
        let _kept = kept;
        // Without its end the body is broken, which is all that can still be told.
        if let Ok((sink, count)) = pack(&opened, base, most, writer) {
            // Not everybody asks.
            told.send(count).ok();
            sink.end();
        }
    })?);
    Ok((body, skipped))
}

/// Where the end is still to be told, and how many entries were left out.
fn pack(
    opened: &[OwnedFd],
    base: PathBuf,
    most: u64,
    writer: BufWriter<Sink>,
) -> io::Result<(Sink, u64)> {
    let encoder = GzEncoder::new(writer, Compression::fast());
    let mut packing =
        Packing { builder: Builder::new(encoder), base, left: most, entries: 0, skipped: 0 };
    for open in opened {
        packing.all(open)?;
    }
    if packing.skipped > 0
        && let Some(first) = opened.first()
    {
        let (mut stat, mut path) = (fstat(first)?, real_path(first.as_fd())?);
        if !FileType::from_raw_mode(stat.st_mode).is_dir() {
            path.pop();
            stat = lstat(&path).unwrap_or(stat);
        }
        // The base itself has no name, and what was removed meanwhile has none any more.
        let name = packing.name(&path).filter(|_| stat.st_nlink > 0);
        let name = name.unwrap_or_else(|| PathBuf::from("."));
        packing.tell_skipped(&stat, &name)?;
    }
    let skipped = packing.skipped;
    let mut writer = packing.builder.into_inner()?.finish()?;
    writer.flush()?;
    let sink = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok((sink, skipped))
}

struct Packing<W: Write> {
    builder: Builder<W>,
    base: PathBuf,
    /// Bytes that may still come.
    left: u64,
    entries: u64,
    skipped: u64,
}

impl<W: Write> Packing<W> {
    fn all(&mut self, open: &OwnedFd) -> io::Result<()> {
        let stat = fstat(open)?;
        let path = real_path(open.as_fd())?;
        if FileType::from_raw_mode(stat.st_mode).is_file() {
            let file = File::open(format!("/proc/self/fd/{}", open.as_raw_fd()))?;
            return self.file(&path, file);
        }
        if path != self.base {
            self.folder(&path, &stat)?;
        }
        // The dot makes it the folder itself, not the link to it.
        let root = PathBuf::from(format!("/proc/self/fd/{}/.", open.as_raw_fd()));
        tree::walk(&root, Mode::RUSR | Mode::XUSR, |step| match step {
            Step::Found { folder, name, stat } => {
                let name = OsStr::from_bytes(name.to_bytes());
                match real_path(folder) {
                    Ok(path) => self.found(folder, &path.join(name), name, stat),
                    // Removed meanwhile, or deeper than a path can be long.
                    Err(_) => self.skip(),
                }
            }
            Step::Left { .. } => Ok(()),
            Step::Closed(_) => self.skip(),
        })
    }

    fn found(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &Path,
        name: &OsStr,
        stat: &Stat,
    ) -> io::Result<()> {
        // Nobody misses what is only half there, or what is in it.
        if path.iter().any(is_temporary) {
            return Ok(());
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(io::Error::other("there are too many files"));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder(path, stat),
            FileType::Symlink => match readlinkat(folder, name, Vec::<u8>::new()) {
                Ok(target) => self.link(path, stat, target.to_bytes()),
                Err(_) => self.skip(),
            },
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
                match openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty()) {
                    Ok(file) => self.file(path, File::from(file)),
                    Err(errno) if tree::is_shortage(errno) => Err(errno.into()),
                    // Gone, or closed to its owner.
                    Err(Errno::NOENT) => Ok(()),
                    Err(_) => self.skip(),
                }
            }
            _ => self.skip(),
        }
    }

    fn file(&mut self, path: &Path, file: File) -> io::Result<()> {
        let stat = fstat(&file)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return self.skip();
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let left = self.left.checked_sub(size);
        self.left = left.ok_or_else(|| io::Error::other("the files are too large together"))?;
        let Some(name) = self.name(path) else { return self.skip() };
        let mut header = header(&stat, EntryType::Regular, size);
        let content = Steady(file).chain(io::repeat(0)).take(size);
        self.builder.append_data(&mut header, name, content)
    }

    fn folder(&mut self, path: &Path, stat: &Stat) -> io::Result<()> {
        let Some(name) = self.name(path) else { return self.skip() };
        let mut header = header(stat, EntryType::Directory, 0);
        self.builder.append_data(&mut header, name.join(""), io::empty())
    }

    fn link(&mut self, path: &Path, stat: &Stat, target: &[u8]) -> io::Result<()> {
        let Some(name) = self.name(path) else { return self.skip() };
        let mut header = header(stat, EntryType::Symlink, 0);
        if target.len() < SHORT_TARGET {
            header.set_link_name_literal(target)?;
            self.builder.append_data(&mut header, name, io::empty())
        } else {
            self.builder.append_link(&mut header, name, OsStr::from_bytes(target))
        }
    }

    fn skip(&mut self) -> io::Result<()> {
        self.skipped += 1;
        Ok(())
    }

    /// The member's name; `None` for what was moved out of the folder meanwhile, and for what is
    /// so deep that it could not be unpacked. A folder's name has a slash at its end, too.
    fn name(&self, path: &Path) -> Option<PathBuf> {
        let name = path.strip_prefix(&self.base).ok()?;
        (1..MAX_NAME).contains(&name.as_os_str().len()).then(|| name.to_owned())
    }

    /// A comment, which every program that unpacks reads over. It stands before a member, a folder
    /// that is there already: some programs call an archive broken whose last header has none
    /// behind it.
    fn tell_skipped(&mut self, stat: &Stat, name: &Path) -> io::Result<()> {
        let record = comment(&format!("{} entries were left out", self.skipped));
        let mut ahead = Header::new_ustar();
        ahead.set_entry_type(EntryType::XHeader);
        ahead.set_mode(0o644);
        ahead.set_size(record.len() as u64);
        self.builder.append_data(&mut ahead, "pax_header", record.as_bytes())?;
        let mut folder = header(stat, EntryType::Directory, 0);
        // Whoever unpacks by hand must get into the folder, also when this was a file.
        folder.set_mode((stat.st_mode & 0o777) | 0o700);
        self.builder.append_data(&mut folder, name.join(""), io::empty())
    }
}

/// Reads on where a disk does not: the rest is zeros then.
struct Steady(File);

impl Read for Steady {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Ok(0),
            read => read,
        }
    }
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o777);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(size);
    header
}

/// One record of an extended header; its length counts its own digits.
fn comment(text: &str) -> String {
    let rest = format!(" comment={text}\n");
    let digits = (1..=4).find(|digits| (rest.len() + digits).to_string().len() == *digits);
    format!("{}{rest}", rest.len() + digits.unwrap_or(0))
}

/// Where an open folder is now.
fn real_path(folder: BorrowedFd<'_>) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::{super::members::plain, *};

    #[test]
    fn a_comment_tells_its_own_length() {
        for text in ["x", "7 entries were left out", &"long ".repeat(30)] {
            let record = comment(text);
            let (length, _) = record.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn what_is_packed_has_its_modes_and_links_and_nothing_that_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let long = format!("{}/{}", "d".repeat(120), "e".repeat(120));
        fs::create_dir_all(at(&long)).unwrap();
        fs::write(at(&format!("{long}/x")), "deep").unwrap();
        std::os::unix::fs::symlink("../../etc/passwd", at("link")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, Mode::RUSR, 0).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let open = rustix::fs::open(folder.path(), flags, Mode::empty()).unwrap();
        let base = real_path(open.as_fd()).unwrap();
        let builder = Builder::new(Vec::<u8>::new());
        let mut packing = Packing { builder, base, left: 100, entries: 0, skipped: 0 };
        packing.all(&open).unwrap();
        assert_eq!(packing.skipped, 1);
        packing.tell_skipped(&fstat(&open).unwrap(), Path::new(".")).unwrap();
        let bytes = packing.builder.into_inner().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned())
            .collect();
        // The comment is a member's own.
        assert_eq!(names.last().map(String::as_str), Some("./"));
        names.sort();
        let above = "d".repeat(120);
        let expected = [
            "./".to_owned(),
            format!("{above}/"),
            format!("{long}/"),
            format!("{long}/x"),
            "link".to_owned(),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn no_name_is_longer_than_what_is_unpacked() {
        let builder = Builder::new(Vec::<u8>::new());
        let base = PathBuf::from("/workspace");
        let packing = Packing { builder, base, left: 0, entries: 0, skipped: 0 };
        for (length, is_packed) in [(MAX_NAME - 1, true), (MAX_NAME, false)] {
            let path = format!("/workspace/{}", "n".repeat(length));
            let name = packing.name(Path::new(&path));
            assert_eq!(name.is_some(), is_packed, "{length}");
            let folder = name.map(|name| name.join(""));
            assert!(folder.is_none_or(|name| plain(name.as_os_str().as_bytes()).is_ok()));
        }
    }
}
