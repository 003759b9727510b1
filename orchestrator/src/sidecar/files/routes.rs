//! The routes below `/fs` and `/files`, as they are served inside the sandbox.
//!
//! A path that stands in the route is absolute, without its first slash, and percent-encoded at most
//! once: it is decoded once, and a `%` that begins no escape stands for itself.

use axum::{
    Json, Router,
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
        api::{Problem, Services},
        message::{DataEnvelope, FileContent, Written},
    },
    MAX_ENTRIES, blocking, download, enter, folders,
    place::resolve,
    upload,
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

async fn write(State(services): State<Services>, body: Body<WriteFile>) -> Answer<Written> {
    let Json(request) = body?;
    let path = request.path.clone();
    let size = services.files.write(request).await?;
    enveloped(Written { path, size })
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

async fn mkdir(
    State(services): State<Services>,
    path: InPath,
    query: Result<Query<Switches>, QueryRejection>,
) -> Answer<Changed> {
    let (path, query) = (in_route(path)?, Switches::of(query)?);
    let recursive = is_on("recursive", query.recursive.as_deref())?;
    let made = path.clone();
    let guard = services.files.guard();
    let make = move || {
        enter(&guard, &resolve(&made)?)?;
        folders::make(&made, recursive)
    };
    blocking(make).await?;
    enveloped(Changed { path })
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
