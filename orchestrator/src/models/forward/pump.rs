//! The answer on its way from the provider to the client.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use reqwest::header::CONTENT_TYPE;
use sandbox_sdk::types::WireFormat;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::super::usage::UsageReader;

/// How long an answer is read on whose client has gone.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// Pieces of an answer that a client may be behind.
const AHEAD: usize = 32;
/// A client that takes nothing for this long is gone.
const STALLED: Duration = Duration::from_secs(60);

/// The way to the client. Dropped before [`whole`](Self::whole), the client sees the answer break.
pub(super) struct Client {
    pieces: mpsc::Sender<Bytes>,
    whole: Arc<AtomicBool>,
}

impl Client {
    pub(super) fn new() -> (Self, Body) {
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let whole = Arc::new(AtomicBool::new(false));
        let body = stream::unfold((receiver, whole.clone()), |(mut receiver, whole)| async move {
            let piece = match receiver.recv().await {
                Some(piece) => Ok(piece),
                // An answer that only seems to end would be taken for a whole one.
                None if !whole.swap(true, Ordering::AcqRel) => {
                    Err(io::Error::from(io::ErrorKind::ConnectionReset))
                }
                None => return None,
            };
            Some((piece, (receiver, whole)))
        });
        (Self { pieces, whole }, Body::from_stream(body))
    }

    fn whole(self) {
        self.whole.store(true, Ordering::Release);
    }

    /// `false`: there is nobody any more.
    async fn send(&self, piece: Bytes) -> bool {
        matches!(timeout(STALLED, self.pieces.send(piece)).await, Ok(Ok(())))
    }
}

/// Passes the answer on and reads it, to its end if the time suffices. `true`: it came whole.
pub(super) async fn pump(
    mut answer: reqwest::Response,
    client: Client,
    format: WireFormat,
    cut: &CancellationToken,
) -> (bool, UsageReader) {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let streamed = kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"));
    let mut reader = UsageReader::new(format, streamed);
    // Set once the client has gone.
    let mut until: Option<Instant> = None;
    loop {
        let piece = tokio::select! {
            biased;
            () = cut.cancelled() => return (false, reader),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                return (false, reader);
            }
            () = client.pieces.closed(), if until.is_none() => {
                until = Some(Instant::now() + DRAIN);
                continue;
            }
            piece = answer.chunk() => piece,
        };
        match piece {
            Ok(Some(piece)) => {
                reader.take(&piece);
                if until.is_none() {
                    let sent = tokio::select! {
                        sent = client.send(piece) => sent,
                        () = cut.cancelled() => return (false, reader),
                    };
                    until = (!sent).then(|| Instant::now() + DRAIN);
                }
            }
            Ok(None) => {
                client.whole();
                return (true, reader);
            }
            Err(error) => {
                tracing::debug!(%error, "a model's answer broke off");
                return (false, reader);
            }
        }
    }
}
