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
    // Let go of once it has gone, or takes nothing: what comes after a gap would pass for the answer.
    let mut client = Some(client);
    let mut until = None;
    loop {
        let gone = async {
            match &client {
                Some(client) => client.pieces.closed().await,
                None => std::future::pending().await,
            }
        };
        let piece = tokio::select! {
            biased;
            () = cut.cancelled() => return (false, reader),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                return (false, reader);
            }
            () = gone => None,
            piece = answer.chunk() => Some(piece),
        };
        let reads = match piece {
            None => false,
            Some(Ok(Some(piece))) => {
                reader.take(&piece);
                let Some(client) = &client else { continue };
                tokio::select! {
                    reads = client.send(piece) => reads,
                    () = cut.cancelled() => return (false, reader),
                }
            }
            Some(Ok(None)) => {
                if let Some(client) = client {
                    client.whole();
                }
                return (true, reader);
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a model's answer broke off");
                return (false, reader);
            }
        };
        if !reads {
            client = None;
            until = Some(Instant::now() + DRAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const PIECES: usize = 3 * AHEAD;
    const USAGE: &str = "data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\n";

    /// An answer that ends with its figures.
    fn answer() -> reqwest::Response {
        let words = (0..PIECES).map(word).chain([USAGE.to_owned(), "data: [DONE]\n\n".to_owned()]);
        let words = words.map(Ok::<_, io::Error>).collect::<Vec<_>>();
        let body = reqwest::Body::wrap_stream(stream::iter(words));
        let answer = http::Response::builder().header(CONTENT_TYPE, "text/event-stream");
        answer.body(body).unwrap().into()
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

    fn figures(reader: UsageReader, whole: bool) -> (u64, u64, bool) {
        let reading = reader.finish(whole, 100);
        (reading.usage.input, reading.usage.output, reading.estimated)
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_sees_its_answer_break_and_is_metered_to_the_end() {
        let (client, body) = Client::patient(Duration::from_millis(20));
        let format = WireFormat::ChatCompletions;
        let (whole, reader) = pump(answer(), client, format, &CancellationToken::new()).await;
        assert!(whole);
        assert_eq!(figures(reader, whole), (7, 9, false));
        // It comes back after all: to a beginning without a gap, and to no end.
        let (text, ended) = read(body, async || {}).await;
        assert!(!ended, "an answer with a hole must not pass for a whole one");
        assert_eq!(text, (0..AHEAD).map(word).collect::<String>());
    }

    #[tokio::test]
    async fn a_slow_client_holds_the_provider_up_and_misses_nothing() {
        let (client, body) = Client::patient(Duration::from_secs(60));
        let cut = CancellationToken::new();
        let pumping = pump(answer(), client, WireFormat::ChatCompletions, &cut);
        let reading = read(body, async || tokio::time::sleep(Duration::from_millis(1)).await);
        let ((whole, _), (text, ended)) = tokio::join!(pumping, reading);
        assert!(whole && ended);
        assert!(text.starts_with(&(0..PIECES).map(word).collect::<String>()));
        assert!(text.ends_with("data: [DONE]\n\n"));
    }

    #[tokio::test]
    async fn a_client_that_has_gone_does_not_end_the_metering() {
        let (client, body) = Client::patient(Duration::from_secs(60));
        drop(body);
        let format = WireFormat::ChatCompletions;
        let (whole, reader) = pump(answer(), client, format, &CancellationToken::new()).await;
        assert_eq!(figures(reader, whole), (7, 9, false));
    }
}
