//! The members of a tar, one after the other, with names of any length but of no more bytes than a
//! path has: what stands for long names is read here, since it is a stranger's word how long it is.

use std::{
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use tar::{Entry, EntryType, PaxExtensions};

use super::{
    super::{api::Problem, files::unread},
    MAX_NAME,
};

/// Longest header of a member beyond its own block.
const MAX_EXTENSION: u64 = 64 << 10;

/// What headers say about the member that comes after them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// A member's name and, of a link, its target.
#[derive(Debug)]
pub(super) struct Member {
    /// Plain names, one below the other; none for the folder that is unpacked into.
    pub(super) path: PathBuf,
    /// As it is written.
    pub(super) target: Vec<u8>,
}

impl Ahead {
    /// Reads a header that is no member. `None`: it is one.
    pub(super) fn read<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<bool, Problem> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.name = Some(text(entry)?),
            EntryType::GNULongLink => self.target = Some(text(entry)?),
            EntryType::XHeader => self.extend(&extension(entry)?)?,
            EntryType::XGlobalHeader => drop(extension(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn extend(&mut self, records: &[u8]) -> Result<(), Problem> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| unread())?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.target = Some(record.value_bytes().to_vec()),
                // Its content would be read as headers.
                b"size" => return Err(Problem::invalid("the archive has a member of over 8 GB")),
                key if key.starts_with(b"GNU.sparse") => return Err(sparse()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The member that the headers before it were about.
    pub(super) fn take<R: Read>(&mut self, entry: &Entry<'_, R>) -> Result<Member, Problem> {
        let ahead = std::mem::take(self);
        let name = ahead.name.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = plain(&name)?;
        let written = || entry.header().link_name_bytes().unwrap_or_default().into_owned();
        let target = ahead.target.unwrap_or_else(written);
        if target.len() > MAX_NAME {
            return Err(Problem::invalid("the archive has a link that is too long"));
        }
        Ok(Member { path, target })
    }
}

/// The path that a name is, which leads nowhere but down.
pub(super) fn plain(name: &[u8]) -> Result<PathBuf, Problem> {
    let shown = || String::from_utf8_lossy(name).chars().take(200).collect::<String>();
    if name.len() > MAX_NAME || name.contains(&0) {
        return Err(Problem::invalid("the archive has a name that none can have"));
    }
    let mut path = PathBuf::new();
    for component in Path::new(std::ffi::OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => {
                let message = format!("the archive's member {:?} leads out of it", shown());
                return Err(Problem::invalid(message));
            }
        }
    }
    Ok(path)
}

pub(super) fn sparse() -> Problem {
    Problem::invalid("the archive has sparse files, which are not read here")
}

/// A long name, which ends with a zero byte.
fn text<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Problem> {
    let mut text = extension(entry)?;
    if text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

fn extension<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read: io::Result<usize> = entry.by_ref().take(MAX_EXTENSION + 1).read_to_end(&mut bytes);
    let count = read.map_err(|_| unread())?;
    if count as u64 > MAX_EXTENSION {
        return Err(Problem::invalid("the archive has a header that is too long"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_down_or_are_refused() {
        for (name, expected) in [
            (&b"a/b"[..], Some("a/b")),
            (b"./a//b/.", Some("a/b")),
            (b"./", Some("")),
            (b"..a/b..", Some("..a/b..")),
            (b"a/../b", None),
            (b"..", None),
            (b"/etc/passwd", None),
            (b"a\0b", None),
        ] {
            assert_eq!(plain(name).ok().as_deref(), expected.map(Path::new), "{name:?}");
        }
        assert!(plain(&[b'a'; 5000]).is_err());
    }
}
