//! Who may ask. Every comparison takes the same time for a right and a wrong secret.

mod access;
mod ending;
mod keys;
mod scoped;

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use sandbox_sdk::types::ErrorCode;
use subtle::ConstantTimeEq;

use super::{App, layers};
use crate::{clock::now_ms, error::ApiError};
pub(super) use access::{Capability, MAX_SECONDS, Wanted};
pub(crate) use keys::Keys;
pub(super) use scoped::needs;

/// What an admitted request of a sandbox's surface may count on. Every such request has one among
/// its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// When the credential ends; streams and sockets that it opened end by then.
    pub(crate) until: Option<tokio::time::Instant>,
    /// The connection that the credential is for; `None`: any.
    pub(crate) connection: Option<String>,
    /// The product itself asks, or who holds the sandbox's own token.
    pub(crate) product: bool,
    /// The credential is the product's key.
    key: bool,
}

impl Pass {
    const KEY: Self = Self { until: None, connection: None, product: true, key: true };
    const OF_SANDBOX: Self = Self { until: None, connection: None, product: true, key: false };

    /// Against whose limits the request counts, when it is about this sandbox; `None`: the product's.
    pub(super) fn counts_for<'a>(&self, sandbox: &'a str) -> Option<&'a str> {
        (!self.key).then_some(sandbox)
    }
}

/// Lets the product pass.
pub(super) async fn product(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !app.keys.are_products(bearer(request.headers())) {
        return Err(wrong("It must be the product's key: a sandbox's token opens its sidecarUrl."));
    }
    layers::join_callers_trace(&request);
    app.rates.product_request()?;
    app.calls.count(now_ms());
    request.extensions_mut().insert(Pass::KEY);
    Ok(next.run(request).await)
}

/// Lets pass who holds the token of the sandbox in the path, and who holds a scoped one as far as it
/// opens the route.
pub(super) async fn sidecar(
    State(app): State<Arc<App>>,
    route: MatchedPath,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
    let brought = bearer(request.headers());
    if !brought.starts_with(keys::OF_SANDBOX) {
        return scoped::run(&app, &route, &params, request, next).await;
    }
    let made_at = app.keys.open(id, brought, now_ms()).ok_or_else(refused)?;
    // A sandbox of the same name that was made later is another one.
    if app.sandboxes.get(id).is_ok_and(|sandbox| sandbox.row.created_at != made_at) {
        return Err(refused());
    }
    layers::join_callers_trace(&request);
    app.rates.sandbox_request(id)?;
    request.extensions_mut().insert(Pass::OF_SANDBOX);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> &[u8] {
    let header = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => b"",
    }
}

/// Takes the same time wherever they differ.
fn same(token: &[u8], secret: &str) -> bool {
    token.ct_eq(secret.as_bytes()).into()
}

fn refused() -> ApiError {
    wrong(
        "It must be the sandbox's own token, connection.authToken, or a scoped one: the product's \
         key opens /v1/sandboxes/{id}/runtime.",
    )
}

/// `hint`: what would be right. Who asks learns from it only where to look.
fn wrong(hint: &str) -> ApiError {
    ApiError::new(ErrorCode::Auth, format!("The bearer token is missing or wrong. {hint}"))
}
