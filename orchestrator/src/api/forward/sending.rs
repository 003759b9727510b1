//! The request's body on its way into a sandbox.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use super::super::extract;
use crate::error::ApiError;

/// How slow a client's body may be, with all breaks together. Time in which the sandbox does not
/// read on is not counted.
const PACE: Pace = Pace { grace: Duration::from_secs(60), least: 1024 };

/// The body's whole time is `grace`, and a second for so many bytes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) grace: Duration,
    /// Bytes per second.
    pub(super) least: u32,
}

/// A body on its way.
struct Coming {
    sending: Arc<Sending>,
    body: BodyDataStream,
    /// Bytes that may still come.
    left: u64,
    came: u64,
    /// How long the client was waited for.
    waited: Duration,
}

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
        self.body_at(PACE, body, limit)
    }

    pub(super) fn body_at(self: &Arc<Self>, pace: Pace, body: Body, limit: u64) -> Body {
        let (sending, body) = (Arc::clone(self), body.into_data_stream());
        let start = Coming { sending, body, left: limit, came: 0, waited: Duration::ZERO };
        Body::from_stream(stream::try_unfold(start, move |mut coming| async move {
            let (asked, most) = (Instant::now(), pace.time(coming.came));
            let next = timeout(most.saturating_sub(coming.waited), coming.body.next()).await;
            coming.waited += asked.elapsed();
            let Ok(next) = next else {
                return Err(coming.sending.refuse(extract::too_slow(most)));
            };
            let Some(piece) = next else { return Ok(None) };
            let piece = piece.map_err(|error| coming.sending.refuse(extract::unread(&error)))?;
            let Some(left) = coming.left.checked_sub(piece.len() as u64) else {
                let refused = coming.sending.refuse(extract::too_large(limit));
                extract::drain(Body::new(coming.body)).await;
                return Err(refused);
            };
            coming.left = left;
            coming.came += piece.len() as u64;
            coming.sending.state().last = Instant::now();
            Ok(Some((piece, coming)))
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

impl Pace {
    /// How long a body may have taken of which so many bytes came.
    fn time(self, came: u64) -> Duration {
        self.grace + Duration::from_secs(came) / self.least
    }
}
