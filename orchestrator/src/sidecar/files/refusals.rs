//! Why something was not done with a file, in words for people.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rustix::fs::FileType;
use sandbox_sdk::types::ErrorCode;

use super::{super::api::Problem, place::FOLDERS};

/// Characters of a path that are shown.
const SHOWN: usize = 200;

pub(crate) fn problem(path: &Path, error: &io::Error) -> Problem {
    let code = match error.kind() {
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ErrorCode::Forbidden,
        ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded => {
            ErrorCode::TooLarge
        }
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::ResourceBusy => {
            ErrorCode::InvalidState
        }
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => ErrorCode::Validation,
        // What opening a FIFO nobody reads, a socket or a ring of links gives.
        _ if [libc::ENXIO, libc::ELOOP, libc::ENODEV]
            .iter()
            .any(|errno| error.raw_os_error() == Some(*errno)) =>
        {
            ErrorCode::Validation
        }
        _ => ErrorCode::Server,
    };
    let message = format!("{}: {}", shown(path), words(error));
    match code {
        ErrorCode::NotFound => Problem::not_found("file", &shown(path), message),
        code => Problem::new(code, message),
    }
}

/// What the system says, without its number for it, which tells a reader nothing.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

pub(super) fn not_regular(path: &Path, mode: u32) -> Problem {
    let what = match FileType::from_raw_mode(mode) {
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::Symlink => "a link",
        _ => "a device",
    };
    Problem::invalid(format!("{} is {what}, not a regular file", shown(path)))
}

pub(super) fn outside(path: &Path) -> Problem {
    let message = format!("{:?} leads outside of {}", shown(path), FOLDERS.join(", "));
    Problem::new(ErrorCode::Forbidden, message)
}

/// Refused for its size: the limit is told in megabytes.
pub(crate) fn too_large(what: &str, most: u64) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("{what} at most {} MB here", most >> 20))
}

pub(crate) fn disk_full() -> Problem {
    Problem::new(ErrorCode::TooLarge, "the sandbox's disk limit is reached")
}

pub(super) fn exists(path: &Path) -> Problem {
    Problem::new(ErrorCode::InvalidState, format!("{} is there already", shown(path)))
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named_without_the_system_s_number() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        let missing = problem(Path::new("/workspace/x.txt"), &error);
        assert_eq!(missing.code, ErrorCode::NotFound);
        assert_eq!(missing.message, "/workspace/x.txt: no such file or directory");
    }
}
