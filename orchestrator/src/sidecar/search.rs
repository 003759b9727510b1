//! Searches the files that a sandbox owns, for the API and for agents.
//!
//! Neither a pattern nor what is in the files makes it take long: the expressions are those that take
//! linear time, and lines, files, folders, results and the time as a whole have limits. Links are not
//! followed, and nothing is opened that is not a regular file.

mod glob;
mod lines;
mod walk;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use sandbox_sdk::types::{ErrorCode, SearchFiles, SearchResults};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    HOME, WORKSPACE,
    api::{Known, Problem, Services},
    aside::aside,
};
use crate::unread::{self, Warned};
use glob::Glob;
use lines::Lines;

/// Results when nobody says how many, and the most.
const RESULTS: u32 = 200;
const MAX_RESULTS: u32 = 2000;
/// Lines before and after a match.
const MAX_CONTEXT: u32 = 20;
/// Longest path, in bytes.
const MAX_PATH: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(15);
/// Where is searched.
const FOLDERS: [&str; 3] = [WORKSPACE, HOME, "/tmp"];

/// Searches at the same time. Each keeps a thread busy.
static PLACES: Semaphore = Semaphore::const_new(2);

/// When to stop.
struct Watch {
    given_up: CancellationToken,
    deadline: Instant,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.given_up.is_cancelled() || Instant::now() >= self.deadline
    }
}

pub(super) fn routes() -> Router<Services> {
    Router::new().route("/search", post(route))
}

async fn route(
    Known(search, unread): Known<SearchFiles>,
) -> Result<Json<Warned<SearchResults>>, Problem> {
    if search.pattern.is_empty() {
        return Err(Problem::invalid("pattern must not be empty"));
    }
    let answer = lines(search, from_root).await?;
    Ok(Json(Warned { answer, warnings: unread::warnings(&unread) }))
}

/// The lines that fit; `told` says where they are by the root of the search and the path below it.
/// Dropping the future ends it.
pub(crate) async fn lines(
    search: SearchFiles,
    told: fn(&Path, &str) -> String,
) -> Result<SearchResults, Problem> {
    let SearchFiles { pattern, glob, cwd, max_results, ignore_case, context } = search;
    let most = match max_results {
        None => RESULTS,
        Some(0) => return Err(Problem::invalid("maxResults must be at least 1")),
        Some(most) => most.min(MAX_RESULTS),
    };
    if context > MAX_CONTEXT {
        let words = format!("context must be at most {MAX_CONTEXT} lines");
        return Err(Problem::invalid(words));
    }
    let glob = compiled(glob.as_deref())?;
    watched(move |watch| {
        let root = root(cwd.as_deref())?;
        let mut lines = Lines::new(&pattern, ignore_case, context as usize, most as usize)?;
        let whole = walk::files(&root, watch, &mut |file| {
            if glob.as_ref().is_some_and(|glob| !glob.matches(file.below)) {
                return true;
            }
            file.open().is_none_or(|open| lines.search(&told(&root, file.below), open, watch))
        })
        .map_err(|error| Problem::invalid(format!("cwd cannot be searched: {error}")))?;
        Ok(lines.found(whole))
    })
    .await
}

/// Paths of the files that fit the glob, whatever is in them, and whether there may be more.
pub(crate) async fn files(search: SearchFiles) -> Result<(Vec<String>, bool), Problem> {
    let glob = compiled(search.glob.as_deref())?;
    let most = search.max_results.unwrap_or(RESULTS).min(MAX_RESULTS) as usize;
    watched(move |watch| {
        let root = root(search.cwd.as_deref())?;
        let mut paths = Vec::new();
        let whole = walk::files(&root, watch, &mut |file| {
            if glob.as_ref().is_none_or(|glob| glob.matches(file.below)) {
                paths.push(from_workspace(&root, file.below));
            }
            paths.len() <= most
        })
        .map_err(|error| Problem::invalid(format!("path cannot be searched: {error}")))?;
        let more = paths.len() > most;
        paths.truncate(most);
        Ok((paths, more || !whole))
    })
    .await
}

fn compiled(glob: Option<&str>) -> Result<Option<Glob>, Problem> {
    let glob = glob.filter(|glob| !glob.is_empty());
    glob.map(|glob| Glob::new(glob).map_err(Problem::invalid)).transpose()
}

/// Runs it beside the event loop. It is told when it is given up.
async fn watched<T: Send + 'static>(
    work: impl FnOnce(&Watch) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |error: String| Problem::new(ErrorCode::Server, error);
    let place = PLACES.acquire().await.map_err(|error| failed(error.to_string()))?;
    let given_up = CancellationToken::new();
    let _given_up_with_us = given_up.clone().drop_guard();
    let watch = Watch { given_up, deadline: Instant::now() + PATIENCE };
    let done = aside(move || {
        let done = work(&watch);
        drop(place);
        done
    })?;
    done.await.unwrap_or_else(|_| Err(failed("the search broke off".to_owned())))
}

/// The folder or file to search, without links.
fn root(wanted: Option<&str>) -> Result<PathBuf, Problem> {
    let wanted = wanted.unwrap_or_default();
    if wanted.len() > MAX_PATH || wanted.contains('\0') {
        return Err(Problem::invalid("cwd is too long or holds a zero byte"));
    }
    let path = Path::new(WORKSPACE).join(wanted);
    let path = path.canonicalize().map_err(|error| {
        Problem::invalid(format!("{} cannot be searched: {error}", path.display()))
    })?;
    if FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Ok(path);
    }
    let folders = FOLDERS.join(", ");
    let words = format!("{} is outside of {folders}", path.display());
    Err(Problem::new(ErrorCode::Forbidden, words))
}

/// A path as the API's clients have it: below the folder that was searched, as globs have it.
/// `below` is empty for a root that is a file itself.
fn from_root(root: &Path, below: &str) -> String {
    if below.is_empty() {
        root.file_name().unwrap_or_default().to_string_lossy().into_owned()
    } else {
        below.to_owned()
    }
}

/// A path that leads to the file wherever was searched, so that it can be read next.
pub(crate) fn from_workspace(root: &Path, below: &str) -> String {
    let path = if below.is_empty() { root.to_path_buf() } else { root.join(below) };
    let path = path.strip_prefix(WORKSPACE).unwrap_or(&path);
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_where_was_searched_and_to_agents_from_the_workspace() {
        for (root, below, searched, workspace) in [
            ("/workspace", "src/a.rs", "src/a.rs", "src/a.rs"),
            ("/workspace/src", "a/b.rs", "a/b.rs", "src/a/b.rs"),
            ("/workspace/src/a.rs", "", "a.rs", "src/a.rs"),
            ("/home/agent", "x", "x", "/home/agent/x"),
        ] {
            assert_eq!(from_root(Path::new(root), below), searched, "{root}");
            assert_eq!(from_workspace(Path::new(root), below), workspace, "{root}");
        }
    }

    #[test]
    fn nothing_is_searched_but_what_the_sandbox_owns() {
        for outside in ["/", "/etc", "/proc/self", "/tmp/../etc", "\0", "/none such"] {
            assert!(root(Some(outside)).is_err(), "{outside:?}");
        }
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        assert!(root(folder.path().to_str()).is_ok());
        assert!(root(link.to_str()).is_err());
    }

    #[tokio::test]
    async fn limits_that_make_no_sense_are_refused() {
        let bad = [
            SearchFiles { max_results: Some(0), ..SearchFiles::default() },
            SearchFiles { context: MAX_CONTEXT + 1, ..SearchFiles::default() },
            SearchFiles { glob: Some("{a,b}".repeat(30)), ..SearchFiles::default() },
        ];
        for search in bad {
            let refused = super::lines(search, from_root).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::Validation);
        }
    }
}
