//! The routes below `/fs` and `/files`, as they are served inside the sandbox.
//!
//! A path that stands in the route is absolute, without its first slash, and percent-encoded at most
//! once: it is decoded once, and a `%` that begins no escape stands for itself.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    routing::{delete, get, post, put},
};
use sandbox_sdk::types::{FilesRead, FolderListing, FsEntry, ReadFile, ReadFiles, WriteFile};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        api::{Known, Problem, Services},
        message::{DataEnvelope, FileContent, Written},
    },
    MAX_ENTRIES, blocking, download, enter, folders,
    place::resolve,
    upload,
};
use crate::{
    flaw::Flaw,
    unread::{self, Warned},
};

type Body<T> = Result<Json<T>, JsonRejection>;
type Answer<T> = Result<Json<DataEnvelope<T>>, Problem>;

pub(in super::super) fn routes() -> Router<Services> {
    let streamed = Router::new()
        .route("/fs/upload", post(upload::form))
        .route("/fs/upload/{*path}", put(upload::raw))
        .route("/fs/upload-dir", post(upload::folder))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .route("/files/read", post(read))
        .route("/files/read-batch", post(read_batch))
        .route("/files/write", post(write))
        .route("/fs/download/{*path}", get(download::file))
        .route("/fs/download-dir/{*path}", get(download::folder))
        .route("/fs/list/{*path}", get(list))
        .route("/fs/stat/{*path}", get(stat))
        .route("/fs/exists/{*path}", get(exists))
        .route("/fs/mkdir/{*path}", post(mkdir))
        .route("/fs/{*path}", delete(remove))
        .merge(streamed)
}

/// A path as a route has it.
pub(super) type InPath = Result<Path<String>, PathRejection>;

/// The absolute path that is meant.
pub(super) fn in_route(path: InPath) -> Result<String, Problem> {
    let Path(path) = path.map_err(|_| Problem::invalid("the path must be UTF-8"))?;
    // Some clients put it behind a slash of their own.
    Ok(format!("/{}", path.trim_start_matches('/')))
}

/// Switches of the query: there, `true` or `1` is on.
#[derive(Debug, Default, Deserialize)]
struct Switches {
    all: Option<String>,
    recursive: Option<String>,
}

pub(in super::super) fn is_on(name: &str, value: Option<&str>) -> Result<bool, Problem> {
    match value {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(_) => Err(Problem::invalid(format!("{name} must be true or false"))),
    }
}

impl Switches {
    fn of(query: Result<Query<Self>, QueryRejection>) -> Result<Self, Problem> {
        Ok(query?.0)
    }
}

/// Body of `POST /fs/mkdir/{*path}`.
#[derive(Debug, Default, Deserialize)]
struct NewFolder {
    recursive: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Exists {
    exists: bool,
}

#[derive(Debug, Serialize)]
struct Changed {
    path: String,
}

async fn read(State(services): State<Services>, body: Body<ReadFile>) -> Answer<FileContent> {
    let Json(request) = body?;
    enveloped(services.files.read(request).await?)
}

async fn read_batch(State(services): State<Services>, body: Body<ReadFiles>) -> Answer<FilesRead> {
    let Json(request) = body?;
    enveloped(services.files.read_all(request).await?)
}

async fn write(
    State(services): State<Services>,
    Known(request, unread): Known<WriteFile>,
) -> Answer<Warned<Written>> {
    let path = request.path.clone();
    let size = services.files.write(request).await?;
    let warnings = unread::warnings(&unread);
    enveloped(Warned { answer: Written { path, size }, warnings })
}

async fn list(
    State(services): State<Services>,
    path: InPath,
    query: Result<Query<Switches>, QueryRejection>,
) -> Answer<FolderListing> {
    let (path, query) = (in_route(path)?, Switches::of(query)?);
    let all = is_on("all", query.all.as_deref())?;
    enveloped(services.files.folder(path, all, MAX_ENTRIES).await?)
}

async fn stat(path: InPath) -> Answer<FsEntry> {
    let path = in_route(path)?;
    enveloped(blocking(move || folders::stat(&path)).await?)
}

async fn exists(path: InPath) -> Answer<Exists> {
    let path = in_route(path)?;
    let exists = blocking(move || folders::exists_at(&path)).await?;
    enveloped(Exists { exists })
}

/// The switch may stand in the query or in the body; the query counts where both have it.
async fn mkdir(
    State(services): State<Services>,
    path: InPath,
    query: Result<Query<Switches>, QueryRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    body: Bytes,
) -> Answer<Warned<Changed>> {
    let (path, query) = (in_route(path)?, Switches::of(query)?);
    let mut unread = unread_of(asked?.0);
    let (wish, unread_too) = wish(&body)?;
    unread.extend(unread_too);
    let recursive = match query.recursive.as_deref() {
        None => wish.recursive.unwrap_or_default(),
        given => is_on("recursive", given)?,
    };
    let made = path.clone();
    let guard = services.files.guard();
    let make = move || {
        enter(&guard, &resolve(&made)?)?;
        folders::make(&made, recursive)
    };
    blocking(make).await?;
    enveloped(Warned { answer: Changed { path }, warnings: unread::warnings(&unread) })
}

/// All that a query asks for, by name.
type Asked = BTreeMap<String, String>;

/// The names in the query of a new folder that nobody reads.
fn unread_of(asked: Asked) -> Vec<String> {
    asked.into_keys().filter(|name| name != "recursive").collect()
}

/// What a body says of a new folder, and the names in it that nobody reads. None says nothing.
fn wish(body: &[u8]) -> Result<(NewFolder, Vec<String>), Problem> {
    if body.is_empty() {
        return Ok((NewFolder::default(), Vec::new()));
    }
    let wish = Flaw::read(body).map_err(|flaw| Problem::flawed("body", &flaw))?;
    Ok((wish, unread::names::<NewFolder>(body)))
}

async fn remove(path: InPath, query: Result<Query<Switches>, QueryRejection>) -> Answer<Changed> {
    let (path, query) = (in_route(path)?, Switches::of(query)?);
    let recursive = is_on("recursive", query.recursive.as_deref())?;
    let removed = path.clone();
    blocking(move || folders::remove(&removed, recursive)).await?;
    enveloped(Changed { path })
}

pub(in super::super) fn enveloped<T>(data: T) -> Answer<T> {
    Ok(Json(DataEnvelope { success: true, data }))
}

#[cfg(test)]
mod tests {
    use super::wish;

    #[test]
    fn a_body_of_a_new_folder_says_what_it_says_and_none_says_nothing() {
        let recursive = |body: &str| wish(body.as_bytes()).map(|(wish, _)| wish.recursive).ok();
        for (body, is) in [
            ("", Some(None)),
            ("{}", Some(None)),
            (r#"{"recursive": null}"#, Some(None)),
            (r#"{"recursive": true}"#, Some(Some(true))),
            (r#"{"recursive": "yes"}"#, None),
            ("recursive", None),
        ] {
            assert_eq!(recursive(body), is, "{body}");
        }
        assert_eq!(wish(br#"{"parents": true}"#).unwrap().1, ["parents"]);
    }
}
