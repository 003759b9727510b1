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

use super::super::{
    App, Shared,
    extract::BODY_LIMIT,
    forward::{Bounds, Forward},
};
use crate::{error::ApiError, sidecar};

/// A small question and the largest file, as base64 in JSON; or a long listing.
const READ: Bounds = Bounds { body: BODY_LIMIT as u64, answer: 32 << 20, patience: PATIENCE };
/// The other way round.
const WRITE: Bounds =
    Bounds { body: sidecar::MAX_BODY as u64, answer: 64 << 10, patience: PATIENCE };
const PATIENCE: Duration = Duration::from_secs(60);
/// An archive is unpacked, and a folder removed, before there is an answer.
const FOLDER_PATIENCE: Duration = Duration::from_secs(600);
/// What a form has around its file.
const FORM: u64 = 64 << 10;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/files/read", post(read))
        .route("/files/read-batch", post(read))
        .route("/files/write", post(write))
        .route("/fs/upload", post(upload))
        .route("/fs/upload/{*path}", put(upload))
        .route("/fs/upload-dir", post(upload_folder))
        .route("/fs/download/{*path}", get(download))
        .route("/fs/download-dir/{*path}", get(download))
        .route("/fs/list/{*path}", get(read))
        .route("/fs/stat/{*path}", get(read))
        .route("/fs/exists/{*path}", get(read))
        .route("/fs/mkdir/{*path}", post(read))
        .route("/fs/{*path}", delete(remove))
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

async fn upload_folder(
    State(app): Shared,
    uri: Uri,
    forward: Forward,
) -> Result<Response, ApiError> {
    let body = app.max_transfer.saturating_add(FORM);
    forward.run(below(&uri), Bounds { body, patience: FOLDER_PATIENCE, ..WRITE }).await
}

async fn remove(uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    forward.run(below(&uri), Bounds { patience: FOLDER_PATIENCE, ..READ }).await
}

async fn download(State(app): Shared, uri: Uri, forward: Forward) -> Result<Response, ApiError> {
    let bounds = Bounds { answer: app.max_transfer, ..READ };
    forward.run(below(&uri), bounds).await
}

/// Path and query as the sandbox knows them.
fn below(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}
