//! Extractors that refuse in the API's own words.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use serde::de::DeserializeOwned;

use crate::error::{ApiError, unread_body};

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(super) struct Json<T>(pub(super) T);

/// Parameters of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

/// Parameters of the query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

/// A JSON body that may be missing.
pub(super) struct OptionalJson<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| unread_body(rejection.status()))?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let read = serde_json::from_slice(&body);
        read.map(Self).map_err(|error| ApiError::invalid(format!("The body is not valid: {error}")))
    }
}
