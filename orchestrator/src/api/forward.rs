//! Passes a request on to a sandbox and its answer back, both as they come.
//!
//! What is in a sandbox is trusted with nothing: its answer is bounded in bytes and in silence, and
//! of the head only what a client needs comes through.

mod answer;
mod sending;
#[cfg(test)]
mod tests;
pub(super) mod upgrade;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE},
    response::Response,
};
use tokio::time::{Instant, sleep_until};

use super::{App, extract};
use crate::{
    error::ApiError,
    sidecar::{SidecarClient, SidecarError},
};
use sending::Sending;

/// How much may pass, and how long either side may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of the request's body.
    pub(super) body: u64,
    /// Bytes of the answer's body.
    pub(super) answer: u64,
    /// From the last byte of the request to the answer's head, and between two pieces of its body.
    pub(super) patience: Duration,
    /// The operator's setting that bounds the answer, where an honest sandbox may have a larger one.
    pub(super) setting: Option<&'static str>,
}

/// A request for a sandbox, whether or not it runs.
pub(super) struct Forward {
    app: Arc<App>,
    id: String,
    request: Request,
}

impl FromRequest<Arc<App>> for Forward {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let params = RawPathParams::from_request_parts(&mut parts, app).await;
        let params = params.map_err(|_| ApiError::invalid("The path is not UTF-8."))?;
        let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
        let (app, id) = (app.clone(), id.to_owned());
        Ok(Self { app, id, request: Request::from_parts(parts, body) })
    }
}

impl Forward {
    /// Asks the sandbox for `path` with the same method, body and conditions, and resumes it first
    /// if it has to. It counts as in use until the answer has been read; a client that goes away
    /// ends what it asked for.
    ///
    /// # Errors
    /// What the sandbox refuses, in the API's words; 413, 408 for the request's body; 413 for an
    /// answer that says itself that it is larger than a setting permits; 503 for any other that is
    /// out of bounds or does not come.
    pub(super) async fn run(self, path: &str, bounds: Bounds) -> Result<Response, ApiError> {
        let Self { app, id, request } = self;
        // No sandbox is resumed for a request that it will not get.
        let (parts, body) = request.into_parts();
        let body = extract::fitting(&parts.headers, body, bounds.body)?;
        let request = Request::from_parts(parts, body);
        let lease = app.sandboxes.lease(&id).await?;
        let sidecar = lease.sidecar().clone();
        pass((id.as_str(), &sidecar), request, path, bounds, lease).await
    }
}

/// `kept` is held until the answer has been read.
async fn pass(
    (id, sidecar): (&str, &SidecarClient),
    request: Request,
    path: &str,
    bounds: Bounds,
    kept: impl Send + 'static,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let sending = Arc::new(Sending::new());
    let mut ours = Request::new(sending.body(body, bounds.body));
    *ours.method_mut() = parts.method;
    *ours.uri_mut() = path.parse().map_err(|_| ApiError::invalid("The path is not valid."))?;
    let headers = ours.headers_mut();
    headers.insert(HOST, http::HeaderValue::from_static("sandbox"));
    for name in [CONTENT_TYPE, CONTENT_LENGTH, ACCEPT, RANGE] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let answered = tokio::select! {
        answered = sidecar.send(ours) => answered,
        () = silence(&sending, bounds.patience) => {
            Err(SidecarError::Unreachable("it took too long".to_owned()))
        }
    };
    match answered {
        Ok(theirs) => answer::of(id, theirs, bounds, kept),
        // What was wrong with the request is known better on this side.
        Err(error) => Err(sending.refused().unwrap_or_else(|| error.into())),
    }
}

/// Waits until nothing was sent for so long.
async fn silence(sending: &Sending, patience: Duration) {
    loop {
        let due = sending.last() + patience;
        if Instant::now() >= due {
            return;
        }
        sleep_until(due).await;
    }
}
