//! The request's body on its way into a sandbox.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::{Body, Bytes};
use futures::StreamExt;
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

    /// The body, as long as it is within its limit.
    pub(super) fn body(self: &Arc<Self>, body: Body, limit: u64) -> Body {
        let (sending, mut left) = (Arc::clone(self), limit);
        Body::from_stream(body.into_data_stream().map(move |piece| {
            let piece = piece.map_err(|error| extract::unread(&error)).and_then(|piece: Bytes| {
                left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or_else(|| extract::too_large(limit))?;
                Ok(piece)
            });
            sending.note(piece)
        }))
    }

    fn note(&self, piece: Result<Bytes, ApiError>) -> io::Result<Bytes> {
        let mut state = self.state();
        state.last = Instant::now();
        piece.map_err(|refused| {
            state.refused = Some(refused);
            io::Error::other("the request's body was refused")
        })
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
