//! Answers that come piece by piece: server-sent events, and bytes as they are.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    Stream,
    stream::{self, BoxStream},
};
use reqwest::Response;
use tokio::time::timeout;

use super::{Error, SseEvent, SseParser};

/// A stream that is silent for longer than this, without even a heartbeat, is dead.
const MAX_SILENCE: Duration = Duration::from_secs(90);

/// What comes piece by piece, in order. A failure is the last item. Dropping it ends the request.
pub struct Streamed<T>(BoxStream<'static, Result<T, Error>>);

impl<T> fmt::Debug for Streamed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streamed")
    }
}

impl<T> Stream for Streamed<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<T: Send + 'static> Streamed<T> {
    /// What `read` makes of each event; `None`: nothing that the caller is told.
    pub(super) fn new(
        response: Response,
        read: impl FnMut(SseEvent) -> Result<Option<T>, Error> + Send + 'static,
    ) -> Self {
        let frames =
            Frames { response, parser: SseParser::default(), ready: VecDeque::new(), read };
        Self(Box::pin(stream::unfold(Some(frames), |frames| async {
            let mut frames = frames?;
            match frames.next().await {
                Ok(Some(item)) => Some((Ok(item), Some(frames))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })))
    }
}

impl Streamed<Bytes> {
    /// The bytes of the answer as they come.
    pub(super) fn of_bytes(response: Response) -> Self {
        Self(Box::pin(stream::unfold(Some(response), |response| async {
            let mut response = response?;
            match piece(&mut response).await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(response))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })))
    }
}

/// The next piece of the answer; `None` at its end.
async fn piece(response: &mut Response) -> Result<Option<Bytes>, Error> {
    timeout(MAX_SILENCE, response.chunk())
        .await
        .map_err(|_| Error::Timeout(MAX_SILENCE))?
        .map_err(Error::transport)
}

struct Frames<R> {
    response: Response,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
    read: R,
}

impl<R> Frames<R> {
    async fn next<T>(&mut self) -> Result<Option<T>, Error>
    where
        R: FnMut(SseEvent) -> Result<Option<T>, Error>,
    {
        loop {
            while let Some(event) = self.ready.pop_front() {
                if let Some(item) = (self.read)(event)? {
                    return Ok(Some(item));
                }
            }
            let Some(chunk) = piece(&mut self.response).await? else { return Ok(None) };
            let events = self
                .parser
                .push(&chunk)
                .map_err(|_| Error::Decode { context: "an event is too large", source: None })?;
            self.ready.extend(events);
        }
    }
}
