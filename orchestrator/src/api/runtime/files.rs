//! Files of a sandbox.
//!
//! A path in a route goes on as it came. It is decoded once, inside, by the same router.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::Uri,
    response::Response,
    routing::{delete, get, post, put},
};
use sandbox_sdk::types::ErrorCode;

use super::super::{
    App, Shared,
    extract::BODY_LIMIT,
    forward::{Bounds, Forward},
};
use crate::{
    error::ApiError,
    sidecar::{self, WORKSPACE},
};

/// A small question and the largest file, as base64 in JSON; or a long listing.
const READ: Bounds =
    Bounds { body: BODY_LIMIT as u64, answer: 32 << 20, patience: PATIENCE, setting: None };
/// The other way round.
const WRITE: Bounds =
    Bounds { body: sidecar::MAX_BODY as u64, answer: 64 << 10, patience: PATIENCE, setting: None };
const PATIENCE: Duration = Duration::from_secs(60);
/// An archive is unpacked, and a folder removed, before there is an answer.
const FOLDER_PATIENCE: Duration = Duration::from_secs(600);
/// A small question, and a folder that goes.
const REMOVE: Bounds = Bounds { patience: FOLDER_PATIENCE, ..READ };
const DOWNLOAD: &str = "download";
/// What is asked about a path. Of two words with the same beginning the longer one is first.
const QUESTIONS: [&str; 5] = ["list", "stat", "exists", "download-dir", DOWNLOAD];
/// What a form has around its file.
const FORM: u64 = 64 << 10;
/// What says how much travels at once.
const TRANSFER: Option<&str> = Some("SKEIN_MAX_TRANSFER_MB");

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/files/read", post(read))
        .route("/files/read-batch", post(read))
        .route("/files/write", post(write))
        .route("/fs/upload", post(upload))
        .route("/fs/upload/{*path}", put(upload_bytes))
        .route("/fs/upload-dir", post(upload_folder))
        .route("/fs/download/{*path}", get(download))
        .route("/fs/download-dir/{*path}", get(download))
        .route("/fs/list/{*path}", get(read))
        .route("/fs/stat/{*path}", get(read))
        .route("/fs/exists/{*path}", get(read))
        .route("/fs/mkdir/{*path}", post(read))
        .route("/fs/{*path}", delete(remove).get(ask_unparted).post(make_unparted))
        .route("/fs{*rest}", delete(remove_unparted))
}

async fn read(uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    forward.run(below(&uri), READ).await
}

async fn write(uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    forward.run(below(&uri), WRITE).await
}

async fn upload(State(app): Shared, uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    let bounds = Bounds { body: app.max_transfer.saturating_add(FORM), ..WRITE };
    forward.run(below(&uri), bounds).await
}

/// The file is the body, so there is nothing around it.
async fn upload_bytes(
    State(app): Shared,
    uri: Uri,
    forward: Forward,
) -> Result<Response, ApiError> {
    forward.run(below(&uri), Bounds { body: app.max_transfer, ..WRITE }).await
}

async fn upload_folder(
    State(app): Shared,
    uri: Uri,
    forward: Forward,
) -> Result<Response, ApiError> {
    let body = app.max_transfer.saturating_add(FORM);
    forward.run(below(&uri), Bounds { body, patience: FOLDER_PATIENCE, ..WRITE }).await
}

async fn remove(uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    forward.run(below(&uri), REMOVE).await
}

async fn download(State(app): Shared, uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    forward.run(below(&uri), outward(&app)).await
}

/// A large file can be had in parts, each of which is within the bounds.
fn outward(app: &App) -> Bounds {
    Bounds { answer: app.max_transfer, setting: TRANSFER, ..READ }
}

/// Some clients put a path right behind the last word of a route. A relative one has no slash there
/// then, and of the root there is nothing but its slash.
async fn ask_unparted(
    State(app): Shared,
    uri: Uri,
    forward: Forward,
) -> Result<Response, ApiError> {
    let (word, path) = parted(&uri, &QUESTIONS)?;
    let bounds = if word.starts_with(DOWNLOAD) { outward(&app) } else { READ };
    forward.run(&path, bounds).await
}

async fn make_unparted(uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    let (_, path) = parted(&uri, &["mkdir"])?;
    forward.run(&path, READ).await
}

async fn remove_unparted(uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    forward.run(&unparted(&uri), REMOVE).await
}

/// The path in the workspace that is meant where there is no word before it, with the query.
fn unparted(uri: &Uri) -> String {
    let meant = match uri.path().strip_prefix("/fs").unwrap_or_default() {
        // Whoever looks at the root sees the workspace. To remove it is refused inside, as of all
        // that is not the sandbox's.
        "" | "/" => "//".to_owned(),
        path => format!("{WORKSPACE}/{path}"),
    };
    format!("/fs{meant}{}", query(uri))
}

/// The word that a path begins with, and the path in the workspace that is meant, with the query.
fn parted(uri: &Uri, words: &[&'static str]) -> Result<(&'static str, String), ApiError> {
    let all = uri.path().strip_prefix("/fs/").unwrap_or_default();
    let found = words.iter().find_map(|word| Some((*word, all.strip_prefix(word)?)));
    let (word, path) = found.ok_or_else(|| {
        ApiError::new(ErrorCode::MethodNotAllowed, "This route does not take that method.")
    })?;
    let path = path.trim_start_matches('/');
    Ok((word, format!("/fs/{word}{WORKSPACE}/{path}{}", query(uri))))
}

fn query(uri: &Uri) -> String {
    uri.query().map(|query| format!("?{query}")).unwrap_or_default()
}

/// Path and query as the sandbox knows them.
fn below(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_its_slash_is_one_of_the_workspace() {
        let meant = |uri: &'static str| {
            let parted = parted(&Uri::from_static(uri), &QUESTIONS).ok();
            parted.map(|(_, path)| path)
        };
        for (uri, path) in [
            ("/fs/statsrc/a%20b.ts", "/fs/stat/workspace/src/a%20b.ts"),
            ("/fs/status", "/fs/stat/workspace/us"),
            ("/fs/list", "/fs/list/workspace/"),
            ("/fs/list/?all=true", "/fs/list/workspace/?all=true"),
            ("/fs/existsa?x=/fs/", "/fs/exists/workspace/a?x=/fs/"),
            ("/fs/downloada.bin", "/fs/download/workspace/a.bin"),
            ("/fs/download-dira", "/fs/download-dir/workspace/a"),
        ] {
            assert_eq!(meant(uri).as_deref(), Some(path), "{uri}");
        }
        for uri in ["/fs/a", "/fs/mkdira", "/fs/upload/a", "/files/read"] {
            assert_eq!(meant(uri), None, "{uri}");
        }
        for (uri, path) in [
            ("/fsdel.txt", "/fs/workspace/del.txt"),
            ("/fssrc/a%20b?recursive=true", "/fs/workspace/src/a%20b?recursive=true"),
            ("/fs../x", "/fs/workspace/../x"),
        ] {
            assert_eq!(unparted(&Uri::from_static(uri)), path, "{uri}");
        }
    }

    #[test]
    fn the_root_is_never_taken_for_the_workspace_when_it_is_to_be_removed() {
        let root = Uri::from_static("/fs/?recursive=true");
        assert_eq!(unparted(&root), "/fs//?recursive=true");
    }
}
