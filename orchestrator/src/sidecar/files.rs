//! Reads and writes files for the API and for agents: regular files and folders, in the folders a
//! sandbox owns.

mod download;
mod draft;
mod encoding;
mod folders;
mod multipart;
mod pipe;
pub(super) mod place;
pub(super) mod refusals;
mod routes;
mod upload;

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use sandbox_sdk::types::{
    ErrorCode, FileNotRead, FileRead, FilesRead, FolderListing, ReadFile, ReadFiles, WriteFile,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{api::Problem, aside::aside, guard::Guard, message::FileContent};
pub(super) use download::saved;
use draft::{Draft, Existing};
pub(super) use draft::{is_temporary, temporary_name, unread};
use encoding::Encoding;
pub(super) use folders::empty;
use pipe::{Feed, Source};
pub(super) use pipe::{Sink, inward, outward};
use place::{Found, resolve};
use refusals::{disk_full, problem, too_large};
pub(super) use routes::{is_on, routes};

/// Largest file that is read or written as JSON, and all files of a batch together.
pub(crate) const MAX_FILE: usize = 10 << 20;
/// Files of one batch.
const MAX_BATCH: usize = 1000;
/// Entries of a folder that are listed for an agent, and for the API.
const MAX_LISTED: usize = 500;
const MAX_ENTRIES: usize = 10_000;
/// Uploads, downloads and archives at once.
const SEATS: usize = 4;
/// Pieces of work at the same time. Each is a thread, of which a sandbox may have only so many.
static PLACES: Semaphore = Semaphore::const_new(16);

#[derive(Clone)]
pub(crate) struct FileStore {
    guard: Arc<Guard>,
    seats: Arc<Semaphore>,
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
        Self { guard, seats: Arc::new(Semaphore::new(SEATS)) }
    }

    pub(super) fn disk_used(&self) -> u64 {
        self.guard.disk_used()
    }

    pub(super) fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.guard)
    }

    /// A place among the transfers, until it is dropped.
    pub(super) fn seat(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.seats).try_acquire_owned().map_err(|_| {
            let message = format!("a sandbox has at most {SEATS} transfers at once");
            Problem::new(ErrorCode::QuotaExceeded, message)
        })
    }

    pub(crate) async fn read(&self, request: ReadFile) -> Result<FileContent, Problem> {
        blocking(move || {
            let encoding = Encoding::parse(request.encoding.as_deref())?;
            let bytes = read(&request.path, MAX_FILE)?;
            Ok(FileContent { content: encoding.encode(bytes)?, encoding: encoding.name().into() })
        })
        .await
    }

    /// Reads each of them, or says why not.
    async fn read_all(&self, request: ReadFiles) -> Result<FilesRead, Problem> {
        let encoding = Encoding::parse(request.encoding.as_deref())?;
        if request.paths.len() > MAX_BATCH {
            return Err(Problem::invalid(format!("a batch has at most {MAX_BATCH} paths")));
        }
        blocking(move || {
            let mut left = MAX_FILE;
            let mut all = FilesRead::default();
            for path in request.paths {
                let got = read(&path, left).and_then(|bytes| {
                    let size = bytes.len();
                    Ok((encoding.encode(bytes)?, size))
                });
                match got {
                    Ok((content, size)) => {
                        left = left.saturating_sub(size);
                        let (encoding, size) = (encoding.name().into(), size as u64);
                        all.files.push(FileRead { path, content, encoding, size });
                    }
                    Err(problem) => {
                        let code = Some(problem.code.as_str().to_owned());
                        all.errors.push(FileNotRead { path, error: problem.message, code });
                    }
                }
            }
            Ok(all)
        })
        .await
    }

    /// Writes a file. Returns its size in bytes.
    pub(crate) async fn write(&self, request: WriteFile) -> Result<u64, Problem> {
        let bytes = Encoding::parse(request.encoding.as_deref())?.decode(request.content)?;
        if bytes.len() > MAX_FILE {
            return Err(too_large_for_json());
        }
        let guard = self.guard();
        blocking(move || {
            let path = resolve(&request.path)?;
            enter(&guard, &path)?;
            let mut draft = Draft::of(&path, request.mode, Existing::Replace)?;
            draft.write(&bytes, guard.largest_file(), &guard)?;
            draft.publish(Existing::Replace)
        })
        .await
    }

    /// Lists a folder by name, folders first. The flag says that there are more.
    pub(crate) async fn list(&self, path: String) -> Result<(Vec<Entry>, bool), Problem> {
        let listing = self.folder(path, true, MAX_LISTED).await?;
        let entry = |entry: sandbox_sdk::types::FsEntry| Entry {
            name: entry.name,
            is_folder: entry.is_dir,
            size: entry.size,
        };
        let mut entries: Vec<Entry> = listing.entries.into_iter().map(entry).collect();
        // Stable: they are sorted by name already.
        entries.sort_by_key(|entry| !entry.is_folder);
        Ok((entries, listing.truncated))
    }

    async fn folder(&self, path: String, all: bool, most: usize) -> Result<FolderListing, Problem> {
        blocking(move || folders::list(&path, all, most)).await
    }
}

/// Takes into account what may be made for a path: what is there, and the folders on the way.
fn enter(guard: &Guard, path: &Path) -> Result<(), Problem> {
    if guard.enter(path.iter().count() as u64) { Ok(()) } else { Err(disk_full()) }
}

/// What was left half right below the folders by a sidecar that was killed.
pub(super) fn left_half() -> Vec<PathBuf> {
    let entries = place::FOLDERS.iter().flat_map(std::fs::read_dir).flatten().flatten();
    let left = entries.filter(|entry| is_temporary(&entry.file_name()));
    left.map(|entry| entry.path()).collect()
}

/// Removes what was left half.
pub(super) fn remove_left(left: &[PathBuf]) {
    for path in left.iter().filter_map(|path| path.to_str()) {
        // The next start tries again.
        folders::remove(path, true).ok();
    }
}

/// Works on files beside everything else.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |error: String| Problem::new(ErrorCode::Server, error);
    let _place = PLACES.acquire().await.map_err(|error| failed(error.to_string()))?;
    aside(work)?.await.unwrap_or_else(|error| Err(failed(error.to_string())))
}

/// There is another way for such a file, which is told.
fn too_large_for_json() -> Problem {
    let most = MAX_FILE >> 20;
    let words = format!(
        "files have at most {most} MB in files/read and files/write: use fs/download and fs/upload"
    );
    Problem::new(ErrorCode::TooLarge, words)
}

fn read(path: &str, most: usize) -> Result<Vec<u8>, Problem> {
    let path: PathBuf = resolve(path)?;
    let (file, size) = Found::at(&path)?.open()?;
    let too_much = || match most {
        MAX_FILE => too_large_for_json(),
        _ => too_large("the files of a batch have together", MAX_FILE as u64),
    };
    if size > most as u64 {
        return Err(too_much());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let mut file = file.take(most as u64 + 1);
    file.read_to_end(&mut bytes).map_err(|error| problem(&path, &error))?;
    if bytes.len() > most { Err(too_much()) } else { Ok(bytes) }
}
