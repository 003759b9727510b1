//! Bytes between a connection and the thread that works with files. Both ends notice when the other
//! one is gone, and what waits between them is little.

use std::io::{self, BufWriter, Read, Write};

use axum::body::{Body, Bytes};
use bytes::Buf;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

/// Pieces that wait.
const WAITING: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 64 << 10;

type Piece = io::Result<Bytes>;

/// Where what a connection brings is read.
#[derive(Debug)]
pub(crate) struct Source {
    pieces: mpsc::Receiver<Option<Piece>>,
    left: Bytes,
    ended: bool,
}

/// A source, and where its pieces go in.
pub(crate) fn inward() -> (Feed, Source) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (Feed(sender), Source { pieces, left: Bytes::new(), ended: false })
}

/// Brings pieces to a [`Source`].
#[derive(Debug)]
pub(crate) struct Feed(mpsc::Sender<Option<Piece>>);

impl Feed {
    /// Whether anyone still reads.
    pub(crate) async fn give(&self, piece: Piece) -> bool {
        self.0.send(Some(piece)).await.is_ok()
    }

    /// Says that all came. Without it the source breaks off.
    pub(crate) async fn end(self) {
        self.0.send(None).await.ok();
    }

    /// Brings a whole stream. When nobody reads any more the rest is dropped: who still sends it
    /// reads no answer.
    pub(crate) async fn all<E>(self, stream: impl Stream<Item = Result<Bytes, E>>)
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.next().await {
            let is_broken = piece.is_err();
            self.give(piece.map_err(io::Error::other)).await;
            if is_broken {
                return;
            }
        }
        self.end().await;
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.left = piece?,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.left.len());
        self.left.split_to(count).copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Where an answer's body is written.
#[derive(Debug)]
pub(crate) struct Sink(mpsc::Sender<Piece>);

/// A writer, and the body that it writes. The body is whole only after [`Sink::end`].
pub(crate) fn outward() -> (BufWriter<Sink>, Body) {
    let (sender, pieces) = mpsc::channel::<Piece>(WAITING);
    let body = stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            // The end is an empty piece.
            Some(Ok(piece)) if piece.is_empty() => None,
            Some(Ok(piece)) => Some((Ok(piece), Some(pieces))),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    });
    (BufWriter::with_capacity(PIECE, Sink(sender)), Body::from_stream(body))
}

impl Sink {
    /// Says that this was all.
    pub(crate) fn end(self) {
        self.0.blocking_send(Ok(Bytes::new())).ok();
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let bytes = bytes.get(..bytes.len().min(PIECE)).unwrap_or_default();
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_ends_only_when_it_was_told_so() {
        let read = |mut source: Source| {
            tokio::task::spawn_blocking(move || {
                let mut text = String::new();
                source.read_to_string(&mut text).map(|_| text)
            })
        };
        let (feed, source) = inward();
        let reader = read(source);
        assert!(feed.give(Ok(Bytes::from_static(b"one "))).await);
        assert!(feed.give(Ok(Bytes::from_static(b"two"))).await);
        feed.end().await;
        assert_eq!(reader.await.unwrap().unwrap(), "one two");
        let (feed, source) = inward();
        let reader = read(source);
        assert!(feed.give(Ok(Bytes::from_static(b"half"))).await);
        drop(feed);
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_body_that_is_not_ended_is_broken() {
        for whole in [true, false] {
            let (mut writer, body) = outward();
            let work = tokio::task::spawn_blocking(move || {
                writer.write_all(b"hello").unwrap();
                writer.flush().unwrap();
                if whole && let Ok(sink) = writer.into_inner() {
                    sink.end();
                }
            });
            let got = axum::body::to_bytes(body, 100).await;
            assert_eq!(got.ok(), whole.then(|| Bytes::from_static(b"hello")));
            work.await.unwrap();
        }
    }
}
