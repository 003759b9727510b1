//! Server functions: `POST /api/<name>`, JSON in, JSON out.
//!
//! Stricter than the framework: it would take a plain form, redirect to whatever `Referer` says, and
//! put errors into that address.

use std::time::Duration;

use app::error::AppError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, REFERER};
use http::{HeaderMap, HeaderValue, StatusCode};
use leptos::server_fn::axum::server_fn_paths;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use crate::{AppState, pages};

/// The longest message fits, which has 100 000 characters: as JSON escapes, those beyond the first
/// 65 536 of Unicode take twelve bytes each.
const MAX_BODY: usize = 100_000 * 12 + 16 * 1024;
/// Whoever sends slower than this does not want an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Smaller answers fit into one packet as they are.
const COMPRESS_FROM: u64 = 1024;

pub(crate) fn router() -> Router<AppState> {
    server_fn_paths()
        .fold(Router::new(), |router, (path, _)| router.route(path, post(call)))
        .route("/api/{*unknown}", any(unknown))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_FROM)))
}

async fn call(State(state): State<AppState>, request: Request) -> Response {
    match checked(request).await {
        Ok(request) => {
            let context = pages::context(&state);
            leptos_axum::handle_server_fns_with_context(context, request).await.into_response()
        }
        Err((status, message)) => refusal(status, message),
    }
}

/// A page from before an update calls what is gone.
async fn unknown() -> Response {
    (StatusCode::NOT_FOUND, Json(AppError::Outdated)).into_response()
}

/// The request with its whole body in memory, and without what would make the framework redirect.
async fn checked(request: Request) -> Result<Request, (StatusCode, &'static str)> {
    let (mut parts, body) = request.into_parts();
    if !is_plain_json(&parts.headers) {
        let message = "The body must be uncompressed JSON.";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let body = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY))
        .await
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "The body took too long."))?
        .map_err(|error| {
            if is_too_large(&error) {
                (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")
            } else {
                (StatusCode::BAD_REQUEST, "The body can't be read.")
            }
        })?;
    parts.headers.remove(REFERER);
    parts.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !headers.contains_key(CONTENT_ENCODING)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let error = AppError::Invalid { field: "request".into(), message: message.into() };
    (status, Json(error)).into_response()
}
