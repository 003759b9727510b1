//! Reads and writes files for the API and for agents: regular files, in the folders a sandbox owns.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use sandbox_sdk::types::{ErrorCode, ReadFile, WriteFile};

use super::{HOME, WORKSPACE, api::Problem, guard::Guard, message::FileContent};

/// Largest file that is read or written through the API.
pub(crate) const MAX_FILE: usize = 10 << 20;
/// Where files may be.
const FOLDERS: &[&str] = &[WORKSPACE, HOME, "/tmp"];
/// Entries of a folder that are listed.
const MAX_LISTED: usize = 500;

#[derive(Clone)]
pub(crate) struct FileStore {
    guard: Arc<Guard>,
}

/// One entry of a listed folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
    pub(crate) size: u64,
}

impl FileStore {
    pub(super) fn new(guard: Arc<Guard>) -> Self {
        Self { guard }
    }

    pub(super) fn disk_used(&self) -> u64 {
        self.guard.disk_used()
    }

    pub(crate) async fn read(&self, request: ReadFile) -> Result<FileContent, Problem> {
        blocking(move || {
            let encoding = Encoding::parse(request.encoding.as_deref())?;
            let bytes = read(&resolve(&request.path)?)?;
            Ok(FileContent { content: encoding.encode(bytes)?, encoding: encoding.name().into() })
        })
        .await
    }

    /// Writes a file, in place when it is there. Returns its size in bytes.
    pub(crate) async fn write(&self, request: WriteFile) -> Result<u64, Problem> {
        let bytes = Encoding::parse(request.encoding.as_deref())?.decode(request.content)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.len() > MAX_FILE {
            return Err(too_large());
        }
        if size > self.guard.room().await {
            return Err(Problem::new(ErrorCode::TooLarge, "the sandbox's disk limit is reached"));
        }
        blocking(move || write(&resolve(&request.path)?, &bytes)).await?;
        self.guard.wrote(size);
        Ok(size)
    }

    /// Lists a folder by name, folders first. The flag says that there are more.
    pub(crate) async fn list(&self, path: String) -> Result<(Vec<Entry>, bool), Problem> {
        blocking(move || list(&resolve(&path)?)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Problem::new(ErrorCode::Server, error.to_string())))
}

/// The absolute path that is meant, without `.` and `..`, if it is one the sandbox owns.
fn resolve(path: &str) -> Result<PathBuf, Problem> {
    if path.is_empty() || path.contains('\0') {
        return Err(Problem::invalid("path must not be empty or hold a zero byte"));
    }
    let mut resolved = PathBuf::new();
    for component in Path::new(WORKSPACE).join(path).components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir | Component::Prefix(_) => {}
            Component::RootDir | Component::Normal(_) => resolved.push(component),
        }
    }
    if is_inside(&resolved) { Ok(resolved) } else { Err(outside(path)) }
}

fn is_inside(path: &Path) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder))
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let file = open(OpenOptions::new().read(true), path)?;
    let size = file.metadata().map_err(|error| problem(path, &error))?.len();
    if size > MAX_FILE as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let limit = MAX_FILE as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| problem(path, &error))?;
    if bytes.len() > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let failed = |error: io::Error| problem(path, &error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    // Emptied only once it is known to be a regular file.
    let options = &mut OpenOptions::new();
    let mut file = open(options.write(true).create(true).truncate(false), path)?;
    file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(failed)
}

/// Opens without waiting (a FIFO would), then looks at what was opened, not at its name: a link may
/// lead anywhere, and may change at any time.
fn open(options: &mut OpenOptions, path: &Path) -> Result<File, Problem> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = options.custom_flags(flags).open(path);
    let file = opened.map_err(|error| problem(path, &error))?;
    let metadata = file.metadata().map_err(|error| problem(path, &error))?;
    if !metadata.is_file() {
        return Err(not_regular(path, &metadata));
    }
    let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    match real {
        Ok(real) if is_inside(&real) => Ok(file),
        _ => Err(outside(&path.display().to_string())),
    }
}

fn list(path: &Path) -> Result<(Vec<Entry>, bool), Problem> {
    let failed = |error: io::Error| problem(path, &error);
    let real = fs::canonicalize(path).map_err(failed)?;
    if !is_inside(&real) {
        return Err(outside(&path.display().to_string()));
    }
    let mut entries: Vec<Entry> = fs::read_dir(real)
        .map_err(failed)?
        .flatten()
        .take(MAX_LISTED + 1)
        .map(|entry| {
            let metadata = entry.metadata().ok();
            Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_folder: metadata.as_ref().is_some_and(fs::Metadata::is_dir),
                size: metadata.map_or(0, |metadata| metadata.len()),
            }
        })
        .collect();
    let more = entries.len() > MAX_LISTED;
    entries.truncate(MAX_LISTED);
    entries.sort_by(|a, b| b.is_folder.cmp(&a.is_folder).then_with(|| a.name.cmp(&b.name)));
    Ok((entries, more))
}

fn problem(path: &Path, error: &io::Error) -> Problem {
    let code = match error.kind() {
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ErrorCode::Forbidden,
        ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded => {
            ErrorCode::TooLarge
        }
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::AlreadyExists
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
    Problem::new(code, format!("{}: {}", shown(path), words(error)))
}

/// What the system says, without its number for it, which tells a reader nothing.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn not_regular(path: &Path, metadata: &fs::Metadata) -> Problem {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Problem::invalid(format!("{} is {what}, not a regular file", shown(path)))
}

fn outside(path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let message = format!("{shown:?} leads outside of {}", FOLDERS.join(", "));
    Problem::new(ErrorCode::Forbidden, message)
}

fn too_large() -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("files have at most {} MB here", MAX_FILE >> 20))
}

fn shown(path: &Path) -> String {
    path.display().to_string().chars().take(200).collect()
}

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Base64,
}

impl Encoding {
    fn parse(name: Option<&str>) -> Result<Self, Problem> {
        match name {
            None | Some("utf8" | "utf-8") => Ok(Self::Utf8),
            Some("base64") => Ok(Self::Base64),
            Some(_) => Err(Problem::invalid("encoding must be utf8 or base64")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Base64 => "base64",
        }
    }

    fn encode(self, bytes: Vec<u8>) -> Result<String, Problem> {
        match self {
            Self::Utf8 => String::from_utf8(bytes)
                .map_err(|_| Problem::invalid("the file is not UTF-8 text; ask for base64")),
            Self::Base64 => Ok(BASE64_STANDARD.encode(bytes)),
        }
    }

    fn decode(self, content: String) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Utf8 => Ok(content.into_bytes()),
            Self::Base64 => BASE64_STANDARD
                .decode(content)
                .map_err(|_| Problem::invalid("content is not valid base64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_in_the_workspace() {
        assert_eq!(resolve("a/./b.txt").unwrap(), Path::new("/workspace/a/b.txt"));
        assert_eq!(resolve("/home/agent/x").unwrap(), Path::new("/home/agent/x"));
        assert_eq!(resolve("a/../b").unwrap(), Path::new("/workspace/b"));
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
    fn a_file_that_is_not_there_is_named_without_the_system_s_number() {
        let path = Path::new("/workspace-of-nobody/x.txt");
        let missing = open(OpenOptions::new().read(true), path).unwrap_err();
        assert_eq!(missing.code, ErrorCode::NotFound);
        assert_eq!(missing.message, "/workspace-of-nobody/x.txt: no such file or directory");
    }

    #[test]
    fn empty_paths_and_zero_bytes_are_refused() {
        for path in ["", "a\0b"] {
            assert_eq!(resolve(path).unwrap_err().code, ErrorCode::Validation, "{path:?}");
        }
    }
}
