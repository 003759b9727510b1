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

/// Pieces of an answer that a client may be behind.
const AHEAD: usize = 32;
/// A client that takes nothing for this long is gone.
const STALLED: Duration = Duration::from_secs(60);

/// The way to the client. Dropped before [`whole`](Self::whole), the client sees the answer break: it
/// gets all pieces up to some point, and never one after a gap.
pub(super) struct Client {
    pieces: mpsc::Sender<Bytes>,
    whole: Arc<AtomicBool>,
    patience: Duration,
}

impl Client {
    pub(super) fn new() -> (Self, Body) {
        Self::patient(STALLED)
    }

    fn patient(patience: Duration) -> (Self, Body) {
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
        (Self { pieces, whole, patience }, Body::from_stream(body))
    }

    fn whole(self) {
        self.whole.store(true, Ordering::Release);
    }

    /// Waits for a client that is behind, and the provider with it. `false`: there is nobody any more,
    /// or nobody who reads.
    async fn send(&self, piece: Bytes) -> bool {
        matches!(timeout(self.patience, self.pieces.send(piece)).await, Ok(Ok(())))
    }
}

/// Where the reading of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Whole,
    /// The provider broke a stream off that was listened to: what passed is what it wrote.
    Broken,
    /// Before an end, while the provider may write on. Or it broke off, and may have written what never
    /// came: an answer in one piece, one whose client held it up, one that had fallen silent.
    Left,
}

/// Passes the answer on and reads it, to its end if the time suffices: that of `drain`, once the client
/// has gone.
pub(super) async fn pump(
    mut answer: reqwest::Response,
    client: Client,
    format: WireFormat,
    drain: Duration,
    cut: &CancellationToken,
) -> (Ended, UsageReader) {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let streamed = kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"));
    let mut reader = UsageReader::new(format, streamed);
    // Let go of once it has gone, or takes nothing: what comes after a gap would pass for the answer.
    let mut client = Some(client);
    let (mut until, mut kept_up) = (None, true);
    loop {
        let gone = async {
            match &client {
                Some(client) => client.pieces.closed().await,
                None => std::future::pending().await,
            }
        };
        let piece = tokio::select! {
            biased;
            () = cut.cancelled() => return (Ended::Left, reader),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                return (Ended::Left, reader);
            }
            () = gone => None,
            piece = answer.chunk() => Some(piece),
        };
        let reads = match piece {
            None => false,
            Some(Ok(Some(piece))) => {
                reader.take(&piece);
                let Some(client) = &client else { continue };
                kept_up &= client.pieces.capacity() > 0;
                tokio::select! {
                    reads = client.send(piece) => reads,
                    () = cut.cancelled() => return (Ended::Left, reader),
                }
            }
            Some(Ok(None)) => {
                if let Some(client) = client {
                    client.whole();
                }
                return (Ended::Whole, reader);
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a model's answer broke off");
                let is_all = streamed && kept_up && !error.is_timeout();
                return (if is_all { Ended::Broken } else { Ended::Left }, reader);
            }
        };
        if !reads {
            client = None;
            until = Some(Instant::now() + drain);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{Stream, StreamExt};
    use http_body_util::BodyExt;

    use super::*;
    use crate::models::usage::Usage;

    const PIECES: usize = 3 * AHEAD;
    const STREAM: &str = "text/event-stream";
    const BODY: &str = "application/json";
    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);
    const USAGE: &str = "data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\n";

    /// An answer that ends with its figures.
    fn answer() -> reqwest::Response {
        let words = (0..PIECES).map(word).chain([USAGE.to_owned(), "data: [DONE]\n\n".to_owned()]);
        says(STREAM, stream::iter(words.map(Ok).collect::<Vec<_>>()))
    }

    fn says(
        kind: &str,
        pieces: impl Stream<Item = io::Result<String>> + Send + 'static,
    ) -> reqwest::Response {
        let answer = http::Response::builder().header(CONTENT_TYPE, kind);
        answer.body(reqwest::Body::wrap_stream(pieces)).unwrap().into()
    }

    async fn pumped(answer: reqwest::Response, client: Client) -> (Ended, UsageReader) {
        let running = CancellationToken::new();
        pump(answer, client, WireFormat::ChatCompletions, LONG, &running).await
    }

    /// How an answer ends that breaks off after so many pieces.
    async fn broken(kind: &str, pieces: usize, client: Client) -> Ended {
        let broken = Err(io::ErrorKind::ConnectionReset.into());
        let pieces = (0..pieces).map(|number| Ok(word(number))).chain([broken]);
        pumped(says(kind, stream::iter(pieces.collect::<Vec<_>>())), client).await.0
    }

    fn word(number: usize) -> String {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{number} \"}}}}]}}\n\n")
    }

    /// What the client gets, and whether it is told that this was all.
    async fn read(mut body: Body, mut pause: impl AsyncFnMut()) -> (String, bool) {
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (text, false) };
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
            pause().await;
        }
        (text, true)
    }

    fn figures(reader: UsageReader, ended: Ended) -> (u64, u64, bool) {
        let reading = reader.finish(ended == Ended::Whole, Usage::default());
        (reading.usage.input, reading.usage.output, reading.estimated)
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_sees_its_answer_break_and_is_metered_to_the_end() {
        let (client, body) = Client::patient(SHORT);
        let (ended, reader) = pumped(answer(), client).await;
        assert_eq!(ended, Ended::Whole);
        assert_eq!(figures(reader, ended), (7, 9, false));
        // It comes back after all: to a beginning without a gap, and to no end.
        let (text, ended) = read(body, async || {}).await;
        assert!(!ended, "an answer with a hole must not pass for a whole one");
        assert_eq!(text, (0..AHEAD).map(word).collect::<String>());
    }

    #[tokio::test]
    async fn a_slow_client_holds_the_provider_up_and_misses_nothing() {
        let (client, body) = Client::patient(LONG);
        let pumping = pumped(answer(), client);
        let reading = read(body, async || tokio::time::sleep(Duration::from_millis(1)).await);
        let ((ended, _), (text, is_told)) = tokio::join!(pumping, reading);
        assert!(ended == Ended::Whole && is_told);
        assert!(text.starts_with(&(0..PIECES).map(word).collect::<String>()));
        assert!(text.ends_with("data: [DONE]\n\n"));
    }

    #[tokio::test]
    async fn a_client_that_has_gone_does_not_end_the_metering() {
        let (client, body) = Client::patient(LONG);
        drop(body);
        let (ended, reader) = pumped(answer(), client).await;
        assert_eq!(figures(reader, ended), (7, 9, false));
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_is_left_and_may_be_longer_than_what_came() {
        for kind in [STREAM, BODY] {
            let (client, body) = Client::new();
            drop(body);
            let silent = says(kind, stream::iter([Ok(word(0))]).chain(stream::pending()));
            let running = CancellationToken::new();
            let format = WireFormat::ChatCompletions;
            let (ended, reader) = pump(silent, client, format, SHORT, &running).await;
            assert_eq!(ended, Ended::Left);
            assert!(figures(reader, ended).2, "nobody told");
        }
    }

    #[tokio::test]
    async fn only_of_a_stream_that_was_listened_to_nothing_is_missing() {
        let (client, _body) = Client::new();
        assert_eq!(broken(STREAM, 2, client).await, Ended::Broken);
        let (client, _body) = Client::new();
        assert_eq!(broken(BODY, 2, client).await, Ended::Left);
        // The provider had to wait for this client, and may have given up on it.
        let (client, _body) = Client::patient(SHORT);
        assert_eq!(broken(STREAM, PIECES, client).await, Ended::Left);
    }
}
