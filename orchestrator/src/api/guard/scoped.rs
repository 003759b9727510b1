//! Lets a scoped token into the part of a sandbox's surface that it opens, for as long as it lasts.

mod table;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, RawPathParams, Request},
    http::{HeaderMap, Method, header::ORIGIN},
    middleware::Next,
    response::Response,
};
use sandbox_sdk::types::ErrorCode;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Pass,
    access::{Access, Capability},
    bearer, ending, refused,
};
use crate::{
    api::{App, layers},
    clock::now_ms,
    error::ApiError,
    gateway,
    log::{Life, SessionLog},
};

/// Where the surface stands that scoped tokens open.
const PLACES: [&str; 2] = ["/v1/sidecar-proxy/{id}", "/sidecar/{id}"];

/// What a token has to open for a route, by its path below the sandbox.
pub(in crate::api) fn needs(method: &Method, path: &str) -> Option<Capability> {
    table::find(method, path).map(|row| row.needs)
}

/// Runs the request if its token opens the route. It ends when the token does.
pub(super) async fn run(
    app: &Arc<App>,
    route: &MatchedPath,
    params: &RawPathParams,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let mut values = params.iter().map(|(_, value)| value);
    let id = values.next().unwrap_or_default();
    let path = PLACES.iter().find_map(|place| route.as_str().strip_prefix(place));
    let row = path.and_then(|path| table::find(request.method(), path));
    let access = credential(app, request.headers(), id, row.is_some_and(|row| row.socket))?;
    app.rates.sandbox_request(id)?;
    let closed = |words: &str| ApiError::new(ErrorCode::Forbidden, words);
    let row = row.filter(|row| access.can(row.needs)).ok_or_else(|| {
        closed("The token's scope does not open this; the sandbox's own token may.")
    })?;
    if row.own && (access.session.is_none() || access.session.as_deref() != values.next()) {
        return Err(closed("The token is for another session or connection than this."));
    }
    if row.socket && !from_known_page(app.gateway.origins(), request.headers()) {
        return Err(ApiError::new(ErrorCode::Forbidden, "This origin may not open a terminal."));
    }
    let sandbox = app.sandboxes.get(id)?;
    // A sandbox of the same name that was made later is another one.
    if access.issued_at.saturating_mul(1000).saturating_add(999) < sandbox.row.created_at {
        return Err(refused());
    }
    let left = access.expires_at.saturating_mul(1000).saturating_sub(now_ms());
    let until = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
    let pass = Pass { until: Some(until), connection: access.session, product: false, key: false };
    layers::join_callers_trace(&request);
    request.extensions_mut().insert(pass);
    let answer = timeout_at(until, next.run(request)).await.map_err(|_| {
        ApiError::new(ErrorCode::Auth, "The token ended before the answer was there.")
    })?;
    if !ending::is_stream(&answer) {
        return Ok(answer);
    }
    let life = app.sandboxes.end_of(id).await?;
    Ok(ending::by(answer, async move {
        tokio::select! {
            () = sleep_until(until) => {}
            () = deleted(life) => {}
        }
    }))
}

/// What the caller's token opens in the sandbox.
fn credential(app: &App, headers: &HeaderMap, id: &str, socket: bool) -> Result<Access, ApiError> {
    let offered = socket.then(|| gateway::offered_token(headers)).flatten();
    let token = match bearer(headers) {
        b"" => offered.as_deref().map_or(&b""[..], str::as_bytes),
        token => token,
    };
    app.keys.access(token, id, now_ms()).ok_or_else(refused)
}

/// The upgrade is not protected by the same-origin policy. Programs that are no browsers send no
/// origin.
fn from_known_page(origins: &[String], headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().map(gateway::normal_origin);
        origin.is_ok_and(|origin| origins.contains(&origin))
    })
}

/// Waits until the sandbox is gone, which its own log tells.
async fn deleted(life: Arc<SessionLog>) {
    let mut head = life.watch();
    // The sender lives in the log, which is held.
    drop(head.wait_for(|head| head.life == Life::Deleted).await);
}
