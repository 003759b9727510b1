//! Sending an answer at the script's pace, and noting how far it came.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio_util::sync::CancellationToken;

use crate::recorded::{Entry, Usage};
use crate::script::CutHow;
use crate::wire::Frame;

/// A stream on its way.
#[derive(Debug)]
pub(crate) struct Playback {
    pub(crate) frames: std::vec::IntoIter<Frame>,
    /// Before each delta.
    pub(crate) delay: Duration,
    /// How it ends after the last frame, if that is not the answer's end.
    pub(crate) cut: Option<CutHow>,
    /// What the whole answer costs.
    pub(crate) usage: Usage,
    pub(crate) entry: Entry,
    /// The server is going away.
    pub(crate) stopped: CancellationToken,
}

impl Playback {
    pub(crate) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |playback| async {
            let mut playback = playback?;
            let next = playback.next().await?;
            // After an error there is nothing more.
            let playback = next.is_ok().then_some(playback);
            Some((next, playback))
        }))
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let Some(frame) = self.frames.next() else {
            return match self.cut {
                Some(CutHow::Broken) => Some(Err(self.cut_off().await)),
                Some(CutHow::Silent) | None => None,
            };
        };
        if frame.delta && !self.delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(self.delay) => {}
                () = self.stopped.cancelled() => {}
            }
        }
        if self.stopped.is_cancelled() {
            return Some(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.note(&frame);
        Some(Ok(frame.bytes))
    }

    /// Before the bytes leave: a client that has the answer finds it noted.
    fn note(&self, frame: &Frame) {
        let is_last = self.cut.is_none() && self.frames.len() == 0;
        self.entry.change(|request| request.written += frame.written);
        if is_last {
            self.entry.finish(self.usage);
        } else if let Some(told) = frame.told {
            self.entry.change(|request| request.usage = told);
        }
    }

    /// The server only writes what it holds back once the body makes it wait: without the pause the
    /// last deltas would be lost with the connection.
    async fn cut_off(&self) -> io::Error {
        tokio::time::sleep(Duration::from_millis(20)).await;
        io::ErrorKind::ConnectionReset.into()
    }
}
