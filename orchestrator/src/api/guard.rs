//! Who may ask. Every comparison takes the same time for a right and a wrong secret.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::{
    extract::{RawPathParams, Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use sandbox_sdk::types::ErrorCode;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::App;
use crate::error::ApiError;

/// The product's key, and the keys of single sandboxes that are made from it.
pub(crate) struct Keys {
    api_key: SecretString,
    sandboxes: hmac::Key,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(api_key: SecretString) -> Self {
        let sandboxes = hmac::Key::new(hmac::HMAC_SHA256, api_key.expose_secret().as_bytes());
        Self { api_key, sandboxes }
    }

    /// Token that opens one sandbox. Derived, so that none has to be stored.
    pub(super) fn of_sandbox(&self, id: &str) -> String {
        let mut context = hmac::Context::with_key(&self.sandboxes);
        context.update(b"sidecar token v1\0");
        context.update(id.as_bytes());
        format!("sbx_{}", hex::encode(context.sign()))
    }
}

/// Lets the product pass.
pub(super) async fn product(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(request.headers(), app.keys.api_key.expose_secret())?;
    Ok(next.run(request).await)
}

/// Lets pass who holds the token of the sandbox in the path.
pub(super) async fn sidecar(
    State(app): State<Arc<App>>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
    check(request.headers(), &app.keys.of_sandbox(id))?;
    Ok(next.run(request).await)
}

fn check(headers: &HeaderMap, secret: &str) -> Result<(), ApiError> {
    let header = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    let token = match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => b"",
    };
    if bool::from(token.ct_eq(secret.as_bytes())) {
        Ok(())
    } else {
        Err(ApiError::new(ErrorCode::Auth, "The bearer token is missing or wrong."))
    }
}
