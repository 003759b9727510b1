//! The built site's files; for every other path, the page that says there is nothing.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderValue, Method, StatusCode};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::{AppState, pages};

/// Names that carry a hash of their contents are good for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Others are asked for again, and usually answered with "not modified".
const REVALIDATE: &str = "no-cache";

pub(crate) async fn serve(State(state): State<AppState>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (parts, _) = request.into_parts();
    let again = || Request::from_parts(parts.clone(), Body::empty());
    // Answers from the folder itself, never from outside of it, compressed where a copy lies beside.
    let folder = ServeDir::new(state.site().root())
        .append_index_html_on_directories(false)
        .precompressed_br()
        .precompressed_gzip();
    let Ok(found) = folder.oneshot(again()).await;
    if found.status() == StatusCode::NOT_FOUND {
        return nothing_here(state, again()).await;
    }
    let mut response = found.map(Body::new);
    if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
        let value = if is_hashed(parts.uri.path()) { FOR_EVER } else { REVALIDATE };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(value));
    }
    response
}

async fn nothing_here(state: AppState, request: Request) -> Response {
    let accepted = request.headers().get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("text/html")) {
        return pages::page(State(state), request).await;
    }
    (StatusCode::NOT_FOUND, "Not found.\n").into_response()
}

/// `/pkg/<name>.<hash>.<extension>`
fn is_hashed(path: &str) -> bool {
    let Some(file) = path.strip_prefix("/pkg/") else { return false };
    let mut pieces = file.rsplit('.');
    let (Some(_extension), Some(hash), Some(_name)) = (pieces.next(), pieces.next(), pieces.next())
    else {
        return false;
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    hash.len() >= 16 && hash.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_hashed;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        assert!(is_hashed("/pkg/skein.0123456789abcdef.wasm"));
        assert!(is_hashed("/pkg/split_thread.0123456789abcdef.wasm"));
        assert!(!is_hashed("/pkg/skein.wasm"));
        assert!(!is_hashed("/pkg/skein.min.js"));
        assert!(!is_hashed("/fonts/inter.0123456789abcdef.woff2"));
    }
}
