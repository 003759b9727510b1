//! The orchestrator's webhook: a turn has ended.

use axum::body::Bytes;
use axum::extract::State;
use backend::Error;
use http::{HeaderMap, StatusCode};

use crate::AppState;

/// Header with the signature over time and raw body.
const SIGNATURE: &str = "x-tangle-signature";

/// Hands the raw body to the backend, which verifies the signature before it looks inside.
///
/// An answer of 500 or 503 asks the orchestrator to try again.
pub(crate) async fn receive(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut signatures = headers.get_all(SIGNATURE).iter();
    let (Some(signature), None) = (signatures.next(), signatures.next()) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(signature) = signature.to_str() else { return StatusCode::UNAUTHORIZED };
    match state.backend().webhook(&body, signature).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(Error::Invalid { field: "signature", .. }) => StatusCode::UNAUTHORIZED,
        Err(Error::Invalid { .. }) => StatusCode::BAD_REQUEST,
        Err(Error::Unavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        Err(error) => {
            tracing::error!(error = app::error::chain(&error), "a webhook failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
