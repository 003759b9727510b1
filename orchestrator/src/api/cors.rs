//! Which pages may use a sandbox's surface: those of the origins that may open the session gateway.

use std::time::Duration;

use axum::http::{
    HeaderName, HeaderValue, Method,
    header::{
        ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE,
        RANGE, RETRY_AFTER,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::layers::REQUEST_ID;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Of a turn, in requests and in answers.
const EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Tokens go in a header, never in a cookie: no page sends credentials by itself.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    // A wildcard is no origin.
    let origins = origins.iter().filter(|origin| *origin != "*");
    let origins = origins.filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            RANGE,
            LAST_EVENT_ID,
            REQUEST_ID,
            EXECUTION_ID,
        ])
        .expose_headers([
            REQUEST_ID,
            SESSION_ID,
            EXECUTION_ID,
            RETRY_AFTER,
            ACCEPT_RANGES,
            CONTENT_RANGE,
            CONTENT_DISPOSITION,
        ])
        .max_age(MAX_AGE)
}
