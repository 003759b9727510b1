//! Terminals of a sandbox.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::Uri,
    response::Response,
    routing::{get, post},
};

use super::super::{
    App, Shared,
    extract::{BODY_LIMIT, Path},
    forward::{Bounds, Forward, upgrade},
    guard::Pass,
};
use crate::error::ApiError;

const SMALL: Bounds = Bounds {
    body: BODY_LIMIT as u64,
    answer: 1 << 20,
    patience: Duration::from_secs(60),
    setting: None,
};
/// As long as the terminal is there. It says every few seconds that it is.
const STREAM: Bounds = Bounds { answer: u64::MAX, ..SMALL };
/// Longest id.
const MAX_ID: usize = 128;
/// What of the query reaches the sandbox: what a terminal is opened with.
const WISHES: [&str; 4] = ["cols=", "rows=", "cwd=", "command="];
const MAX_QUERY: usize = 8 << 10;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/terminals", get(all).post(all))
        .route("/terminals/{terminal}", get(one).patch(one).delete(one))
        .route("/terminals/{terminal}/stream", get(stream))
        .route("/terminals/{terminal}/input", post(input))
        .route("/terminals/{terminal}/execute", post(input))
        .route("/terminals/{terminal}/ws", get(socket))
}

async fn all(forward: Forward) -> Result<Response, ApiError> {
    forward.run("/terminals", SMALL).await
}

async fn one(
    Path((_, terminal)): Path<(String, String)>,
    forward: Forward,
) -> Result<Response, ApiError> {
    forward.run(&path(&terminal, "")?, SMALL).await
}

async fn stream(
    Path((_, terminal)): Path<(String, String)>,
    forward: Forward,
) -> Result<Response, ApiError> {
    forward.run(&path(&terminal, "/stream")?, STREAM).await
}

async fn input(
    Path((_, terminal)): Path<(String, String)>,
    forward: Forward,
) -> Result<Response, ApiError> {
    forward.run(&path(&terminal, "/input")?, SMALL).await
}

/// As long as somebody is connected the sandbox counts as in use.
async fn socket(
    State(app): Shared,
    Path((id, terminal)): Path<(String, String)>,
    Extension(pass): Extension<Pass>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut path = path(&terminal, "/ws")?;
    let query = uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY {
        return Err(ApiError::invalid("The query is too long."));
    }
    let wishes = query.split('&').filter(|pair| WISHES.iter().any(|name| pair.starts_with(name)));
    path.push('?');
    path.push_str(&wishes.collect::<Vec<_>>().join("&"));
    let upgrade = upgrade.map_err(|_| {
        ApiError::invalid("This route takes WebSocket upgrades of version 13 only.")
    })?;
    if pass.connection.as_deref().is_some_and(|connection| connection != terminal) {
        let words = "The token is for another connection.";
        return Err(ApiError::new(sandbox_sdk::types::ErrorCode::Forbidden, words));
    }
    upgrade::run(&app, &id, &path, upgrade, pass.until).await
}

/// The terminal's path in the sandbox. Its id is a word, so that it stays one in a path.
fn path(terminal: &str, rest: &str) -> Result<String, ApiError> {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let word = !matches!(terminal, "" | "." | "..") && terminal.bytes().all(named);
    if !word || terminal.len() > MAX_ID {
        return Err(ApiError::not_found("terminal", terminal));
    }
    Ok(format!("/terminals/{terminal}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leads_out_of_the_terminals() {
        assert_eq!(path("a-B_1", "/ws").unwrap(), "/terminals/a-B_1/ws");
        let long = "x".repeat(MAX_ID + 1);
        for id in ["", ".", "..", "a/b", "a%2fb", "a?b", "a#b", "a b", "é", &long] {
            assert!(path(id, "").is_err(), "{id}");
        }
    }
}
