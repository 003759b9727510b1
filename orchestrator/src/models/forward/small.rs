//! Answers of a few words.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// As much of a small answer as is read, in bytes.
const MAX_SMALL: usize = 64 * 1024;
/// For all of a small answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that is small, but for a provider gone mad: a refusal, a count.
pub(super) struct Small {
    pub(super) body: Bytes,
    /// There is no more of it.
    pub(super) whole: bool,
}

impl Small {
    /// Reads what comes of a body until the time is over, it is too much, or nobody wants it any more.
    pub(super) async fn read(
        mut answer: reqwest::Response,
        patience: Duration,
        over: &CancellationToken,
    ) -> Self {
        let mut body = BytesMut::new();
        let reading = async {
            loop {
                let piece = match answer.chunk().await {
                    Ok(Some(piece)) => piece,
                    ended => return ended.is_ok(),
                };
                let room = MAX_SMALL - body.len();
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    return false;
                }
            }
        };
        // The time is for all of it: a byte now and then does not make it longer.
        let read = over.run_until_cancelled(timeout(patience, reading)).await;
        let whole = matches!(read, Some(Ok(true)));
        Self { body: body.freeze(), whole }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::{Stream, StreamExt, stream};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn answer(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> reqwest::Response {
        http::Response::new(reqwest::Body::wrap_stream(pieces)).into()
    }

    /// A byte now and then, without end.
    fn trickle() -> reqwest::Response {
        answer(stream::repeat_with(|| Ok(Bytes::from_static(b"x"))).then(async |piece| {
            tokio::time::sleep(Duration::from_millis(2)).await;
            piece
        }))
    }

    #[tokio::test]
    async fn an_answer_that_trickles_is_read_for_a_bounded_time() {
        let running = CancellationToken::new();
        let small = Small::read(trickle(), Duration::from_millis(100), &running).await;
        assert!(!small.whole && !small.body.is_empty());
        let over = CancellationToken::new();
        over.cancel();
        assert!(!Small::read(trickle(), LONG, &over).await.whole);
    }

    #[tokio::test]
    async fn an_answer_without_end_is_read_for_a_bounded_size() {
        let running = CancellationToken::new();
        let piece = Bytes::from(vec![b'x'; 10_000]);
        let endless = answer(stream::repeat_with(move || Ok(piece.clone())));
        let small = Small::read(endless, LONG, &running).await;
        assert_eq!((small.whole, small.body.len()), (false, MAX_SMALL));
        let exact = answer(stream::iter([Ok(Bytes::from(vec![b'x'; MAX_SMALL]))]));
        assert!(Small::read(exact, LONG, &running).await.whole);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_not_whole() {
        let broken = answer(stream::iter([
            Ok(Bytes::from_static(b"{\"error\"")),
            Err(io::ErrorKind::ConnectionReset.into()),
        ]));
        let small = Small::read(broken, LONG, &CancellationToken::new()).await;
        assert_eq!((small.whole, &small.body[..]), (false, &b"{\"error\""[..]));
    }
}
