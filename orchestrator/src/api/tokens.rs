//! Tokens that the product hands to a page: for a while, and for a part of what it may do itself.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, http::StatusCode, routing::post};
use sandbox_sdk::{
    auth::Scope,
    types::{ErrorCode, MintToken, TokenScope},
};
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{Known, Path},
    guard::{Capability, MAX_SECONDS, Wanted},
};
use crate::{
    clock::{iso, now_ms},
    error::ApiError,
    turns::is_id,
};

/// Longest id of a session or of a terminal's connection.
const MAX_ID: usize = 128;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/sandboxes/{id}/tokens", post(mint))
        .route("/projects/{id}/tokens", post(mint))
}

/// A token that asks for more time gets the most there is. One that asks for what nobody knows is not
/// made: it would open more than was meant, or for longer.
async fn mint(
    State(app): Shared,
    Path(id): Path<String>,
    Known(wish, unread): Known<MintToken>,
) -> Result<(StatusCode, JsonBody<Value>), ApiError> {
    app.sandboxes.get(&id)?;
    if let Some(field) = unread.first() {
        let field: String = field.chars().take(64).collect();
        let words = format!("{field:?} is not known here; a token lasts for ttlMinutes");
        return Err(ApiError::invalid(words));
    }
    if wish.ttl_minutes == Some(0) {
        return Err(ApiError::invalid("ttlMinutes must be at least 1"));
    }
    let session = wish.session_id.as_deref();
    if session.is_some_and(|session| !is_id(session, MAX_ID)) {
        return Err(ApiError::invalid("sessionId must be 1 to 128 characters of [A-Za-z0-9:_-]"));
    }
    let seconds = wish.ttl_minutes.map_or(MAX_SECONDS, |minutes| i64::from(minutes) * 60);
    let (token, expires_at) = app.minted(&id, wish.scope, session, seconds).await?;
    let answer = json!({
        "token": token,
        "expiresAt": iso(expires_at.saturating_mul(1000)),
        "scope": wish.scope,
        "sidecarProxyUrl": format!("{}/v1/sidecar-proxy/{id}", app.base_url),
    });
    Ok((StatusCode::CREATED, JsonBody(answer)))
}

impl App {
    /// The token, and its end in Unix seconds.
    async fn minted(
        &self,
        id: &str,
        kind: TokenScope,
        session: Option<&str>,
        seconds: i64,
    ) -> Result<(String, i64), ApiError> {
        let needed = || {
            let session = session.map(str::to_owned);
            session.ok_or_else(|| ApiError::invalid("this scope needs a sessionId"))
        };
        let (user, scope) = match kind {
            TokenScope::Session => {
                let session = needed()?;
                (self.user_of(id, &session).await?, Scope::Session(session))
            }
            TokenScope::Project => {
                if session.is_some() {
                    return Err(ApiError::invalid("this scope is of all sessions"));
                }
                (format!("project:{id}"), Scope::Project(id.to_owned()))
            }
            TokenScope::ReadOnly => {
                if let Some(session) = session {
                    self.session_in(id, session).await?;
                }
                return self.access_to(id, session, &[Capability::Read], seconds);
            }
            TokenScope::SessionRuntime => {
                let all = [Capability::Read, Capability::Workspace, Capability::Terminal];
                return self.access_to(id, Some(&needed()?), &all, seconds);
            }
        };
        let issued = self.keys.mint_read(&user, &scope, now_ms(), seconds);
        let issued = issued.map_err(|error| ApiError::internal(&error))?;
        Ok((issued.token, issued.expires_at))
    }

    fn access_to(
        &self,
        sandbox: &str,
        session: Option<&str>,
        capabilities: &[Capability],
        seconds: i64,
    ) -> Result<(String, i64), ApiError> {
        let wanted = Wanted { sandbox, session, capabilities };
        let minted = self.keys.mint_access(wanted, now_ms(), seconds);
        minted.map_err(|error| ApiError::internal(&error))
    }

    /// Whose the session is; only their tokens are let in by the gateway.
    async fn user_of(&self, id: &str, session: &str) -> Result<String, ApiError> {
        self.session_in(id, session).await?;
        let row = self.store.session(session).await?;
        row.and_then(|row| row.user_id).ok_or_else(|| {
            let words = "Nobody has said yet whose the session is. PUT /v1/session/{id}/mapping \
                         says so.";
            ApiError::new(ErrorCode::InvalidState, words)
        })
    }
}
