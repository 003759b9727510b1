//! What a person sees when there is nothing to be seen.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Why a request did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    NoSuchPort,
    NobodyListens,
    NoSense,
    TooSlow,
    TooMany,
    NotRunning,
}

impl Trouble {
    fn words(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchPort => {
                (StatusCode::NOT_FOUND, "There is no such port. It may have been closed.")
            }
            Self::NobodyListens => (
                StatusCode::BAD_GATEWAY,
                "Nothing listens on this port of the sandbox. Start the program, then load the page \
                 again.",
            ),
            Self::NoSense => (
                StatusCode::BAD_GATEWAY,
                "The program on this port gave no answer that makes sense.",
            ),
            Self::TooSlow => {
                (StatusCode::GATEWAY_TIMEOUT, "The program on this port took too long to answer.")
            }
            Self::TooMany => {
                (StatusCode::SERVICE_UNAVAILABLE, "Too many requests are under way to this port.")
            }
            Self::NotRunning => {
                (StatusCode::SERVICE_UNAVAILABLE, "The sandbox can't be started just now.")
            }
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, words) = self.words();
        let mut response = (status, format!("{words}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}
