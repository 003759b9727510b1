//! The request's body on its way into a sandbox.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Body;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::super::extract;
use crate::error::ApiError;

/// How far the body has come.
#[derive(Debug)]
pub(super) struct Sending(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Instant,
    refused: Option<ApiError>,
}

impl Sending {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { last: Instant::now(), refused: None }))
    }

    /// The body, as long as it is within its limit. What is beyond is read and dropped.
    pub(super) fn body(self: &Arc<Self>, body: Body, limit: u64) -> Body {
        let start = (Arc::clone(self), body.into_data_stream(), limit);
        Body::from_stream(stream::try_unfold(start, move |(sending, mut body, left)| async move {
            let Some(piece) = body.next().await else { return Ok(None) };
            let piece = piece.map_err(|error| sending.refuse(extract::unread(&error)))?;
            let Some(left) = left.checked_sub(piece.len() as u64) else {
                let refused = sending.refuse(extract::too_large(limit));
                extract::drain(Body::new(body)).await;
                return Err(refused);
            };
            sending.state().last = Instant::now();
            Ok(Some((piece, (sending, body, left))))
        }))
    }

    fn refuse(&self, refused: ApiError) -> io::Error {
        self.state().refused = Some(refused);
        io::Error::other("the request's body was refused")
    }

    /// When the last piece went out.
    pub(super) fn last(&self) -> Instant {
        self.state().last
    }

    /// What was wrong with the body, if anything was.
    pub(super) fn refused(&self) -> Option<ApiError> {
        self.state().refused.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
