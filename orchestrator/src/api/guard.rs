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
use crate::{clock::now_ms, error::ApiError};

/// How long a sandbox's token stays the same, in milliseconds: half a day.
const TOKEN_LIFE: i64 = 12 * 3600 * 1000;

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

    /// Token that opens one sandbox, and until when. Derived, so that none has to be stored. It
    /// stays the same for a while, and is good for longer than that from whenever it is asked for.
    pub(super) fn of_sandbox(&self, id: &str, now: i64) -> (String, i64) {
        let expires_at = (now.div_euclid(TOKEN_LIFE) + 2) * TOKEN_LIFE;
        (self.token(id, expires_at), expires_at)
    }

    fn token(&self, id: &str, expires_at: i64) -> String {
        let mut context = hmac::Context::with_key(&self.sandboxes);
        context.update(b"sidecar token v2\0");
        context.update(&expires_at.to_be_bytes());
        context.update(id.as_bytes());
        format!("sbx_{expires_at}_{}", hex::encode(context.sign()))
    }

    /// The token that a caller must have who brings this one; `None` for one that is out of date.
    fn expected(&self, id: &str, brought: &[u8], now: i64) -> Option<String> {
        let brought = std::str::from_utf8(brought).ok()?.strip_prefix("sbx_")?;
        let expires_at: i64 = brought.split_once('_')?.0.parse().ok()?;
        (expires_at > now).then(|| self.token(id, expires_at))
    }
}

/// Lets the product pass.
pub(super) async fn product(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(bearer(request.headers()), app.keys.api_key.expose_secret())?;
    app.calls.count(now_ms());
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
    let brought = bearer(request.headers());
    let expected = app.keys.expected(id, brought, now_ms()).ok_or_else(refused)?;
    check(brought, &expected)?;
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> &[u8] {
    let header = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => b"",
    }
}

fn check(token: &[u8], secret: &str) -> Result<(), ApiError> {
    if bool::from(token.ct_eq(secret.as_bytes())) { Ok(()) } else { Err(refused()) }
}

fn refused() -> ApiError {
    ApiError::new(ErrorCode::Auth, "The bearer token is missing or wrong.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandboxs_token_opens_it_until_its_end_and_no_other() {
        let keys = Keys::new("a key".into());
        let now = 1_790_000_000_000;
        let (token, end) = keys.of_sandbox("a", now);
        assert!((now + TOKEN_LIFE..=now + 2 * TOKEN_LIFE).contains(&end));
        let opens = |id: &str, token: &str, now: i64| {
            let expected = keys.expected(id, token.as_bytes(), now);
            expected.is_some_and(|expected| check(token.as_bytes(), &expected).is_ok())
        };
        assert!(opens("a", &token, now) && opens("a", &token, end - 1));
        assert!(!opens("a", &token, end));
        assert!(!opens("b", &token, now));
        let later = token.replace(&end.to_string(), &(end + 1).to_string());
        assert!(!opens("a", &later, now), "its end can't be moved");
        assert_eq!(keys.of_sandbox("a", end - TOKEN_LIFE - 1).0, token);
        for none in ["", "sbx_", "sbx_1", "sbx__", "sbx_x_y", "a key"] {
            assert!(!opens("a", none, now), "{none}");
        }
        assert!(!opens("a", &Keys::new("other".into()).of_sandbox("a", now).0, now));
    }
}
