//! Extractors that refuse in the API's own words.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use sandbox_sdk::types::ErrorCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tower_http::timeout::TimeoutError;

use super::BODY_PATIENCE;
use crate::{error::ApiError, flaw::Flaw, unread};

/// Largest body of most requests, in bytes.
pub(super) const BODY_LIMIT: usize = 256 * 1024;
/// What is read of a body that is too large, and dropped, so that a client which is still writing
/// gets to read why it was refused.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
/// A body has come by then, however small its pieces are.
const WHOLE_BODY: Duration = Duration::from_secs(300);

/// A JSON body of at most so many bytes.
pub(super) struct Json<T, const LIMIT: usize = BODY_LIMIT>(pub(super) T);

/// A JSON body, and the names in it that nobody reads.
pub(super) struct Known<T, const LIMIT: usize = BODY_LIMIT>(pub(super) T, pub(super) Vec<String>);

/// A JSON body that may be missing.
pub(super) struct OptionalJson<T>(pub(super) T);

/// Parameters of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

/// Parameters of the query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

impl<S, T, const LIMIT: usize> FromRequest<S> for Json<T, LIMIT>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&json(request, LIMIT).await?).map(Self)
    }
}

/// A body that says it is JSON.
async fn json(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read(fitting(&parts.headers, body, limit as u64)?, limit).await?;
    if !is_json(&parts.headers) {
        let words = "The body must be application/json.";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, words));
    }
    Ok(body)
}

impl<S: Send + Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Known<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = json(request, LIMIT).await?;
        Ok(Self(parse(&body)?, unread::names::<T>(&body)))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = read(fitting(&parts.headers, body, BODY_LIMIT as u64)?, BODY_LIMIT).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let request = Request::from_parts(parts, Body::from(body));
        let Json(value) = Json::<T>::from_request(request, state).await?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// What is wrong is told by the field, which a person who wrote the request needs. The parser does not
/// go deeper than 128 levels.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // An array would be taken for the fields of an object in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid("The body must be a JSON object."));
    }
    Flaw::read(body).map_err(|flaw| ApiError::flawed("body", &flaw))
}

async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    read_within(WHOLE_BODY, body, limit).await
}

async fn read_within(time: Duration, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    timeout(time, collected(body, limit)).await.unwrap_or_else(|_| Err(too_slow(time)))
}

async fn collected(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let (mut kept, mut length) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(_) if length > limit => break,
            Err(error) => return Err(unread(&error)),
        };
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            kept.extend_from_slice(&data);
        } else if length > DRAIN_LIMIT {
            break;
        }
    }
    if length > limit { Err(too_large(limit as u64)) } else { Ok(kept.freeze()) }
}

/// Why a body of more than `limit` bytes is not taken.
pub(super) fn too_large(limit: u64) -> ApiError {
    let words = format!("The body is larger than {limit} bytes.");
    ApiError::new(ErrorCode::TooLarge, words).with("limit", limit)
}

/// The body, unless it says itself that it is longer than `most` bytes: then it is refused at once,
/// and what comes of it is read meanwhile, for the same reason as `DRAIN_LIMIT`.
pub(super) fn fitting(headers: &HeaderMap, body: Body, most: u64) -> Result<Body, ApiError> {
    if declared_length(headers).is_some_and(|length| length > most) {
        tokio::spawn(drain(body));
        return Err(too_large(most));
    }
    Ok(body)
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Reads a body that is not taken, for the same reason as `DRAIN_LIMIT`.
pub(super) async fn drain(body: Body) {
    // What is wrong with it is told by its refusal.
    drop(read(body, 0).await);
}

/// Why a body is not waited for any longer, after so long.
pub(super) fn too_slow(time: Duration) -> ApiError {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    ApiError::new(ErrorCode::Timeout, "The body took too long to come.").with("timeoutMs", millis)
}

/// Why a body could not be read to its end.
pub(super) fn unread(error: &axum::Error) -> ApiError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<TimeoutError>() {
            return too_slow(BODY_PATIENCE);
        }
        cause = error.source();
    }
    ApiError::invalid("The body could not be read.")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::response::IntoResponse;
    use futures::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn a_body_that_says_it_is_too_large_is_refused_before_any_of_it_comes() {
        let withheld = || {
            let request = Request::builder().header(CONTENT_TYPE, "application/json");
            let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
            request.header(CONTENT_LENGTH, BODY_LIMIT + 1).body(body).unwrap()
        };
        let json = Json::<serde_json::Value>::from_request(withheld(), &());
        let optional = OptionalJson::<serde_json::Value>::from_request(withheld(), &());
        let known = Known::<serde_json::Value>::from_request(withheld(), &());
        let refused = timeout(Duration::from_secs(60), async {
            [json.await.err(), optional.await.err(), known.await.err()]
        });
        for refused in refused.await.expect("it is waited for") {
            assert_eq!(refused.unwrap().into_response().status(), 413);
        }
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_not_read_for_ever() {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let refused = read_within(Duration::from_millis(20), body, 10).await.unwrap_err();
        assert_eq!(refused.into_response().status(), 408);
    }
}
