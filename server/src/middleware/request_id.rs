//! Gives every request a name, for the log and for the person who reports a failure.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request: an extension of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The id is always ours: one from outside could be anything, and would stand in our log.
pub(crate) async fn request_id(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().simple().to_string();
    let id = HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"));
    request.headers_mut().insert(HEADER, id.clone());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id);
    response
}
