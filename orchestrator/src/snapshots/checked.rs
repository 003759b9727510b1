//! Nothing is restored before it is known to be whole.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

use super::{Kept, SnapshotError};

/// An object, as it comes.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, SnapshotError>>;

/// What came of an object that a sandbox has read.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Result<(), SnapshotError>>>>);

struct State {
    pieces: stream::Fuse<Pieces>,
    digest: Context,
    length: u64,
    /// Whoever reads does not get the last piece before the whole was checked.
    held: Option<Bytes>,
    is_over: bool,
}

impl Verdict {
    /// Whether the object was good; `None`: nobody has read it to its end.
    pub(super) fn take(&self) -> Option<Result<(), SnapshotError>> {
        self.state().take()
    }

    fn refuse(&self, error: SnapshotError) -> io::Error {
        *self.state() = Some(Err(error));
        io::Error::other("the snapshot is not what it should be")
    }

    fn state(&self) -> MutexGuard<'_, Option<Result<(), SnapshotError>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object, of which the end comes only if it is the one that was kept. `most`: in MB.
pub(super) fn checked(
    pieces: Pieces,
    kept: &Kept,
    most: u64,
    verdict: Verdict,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let (size, expected) = (kept.size, kept.sha256.clone());
    let start = State {
        pieces: pieces.fuse(),
        digest: Context::new(&SHA256),
        length: 0,
        held: None,
        is_over: false,
    };
    stream::try_unfold(start, move |mut state| {
        let (verdict, expected) = (verdict.clone(), expected.clone());
        async move {
            if state.is_over {
                return Ok(None);
            }
            while let Some(piece) = state.pieces.next().await {
                let piece = piece.map_err(|error| verdict.refuse(error))?;
                if piece.is_empty() {
                    // Held back, it would keep nothing back.
                    continue;
                }
                state.length = state.length.saturating_add(piece.len() as u64);
                if state.length > most << 20 {
                    return Err(verdict.refuse(SnapshotError::TooLarge(most)));
                }
                state.digest.update(&piece);
                if let Some(earlier) = state.held.replace(piece) {
                    return Ok(Some((earlier, state)));
                }
            }
            state.is_over = true;
            let digest = hex::encode(state.digest.clone().finish().as_ref());
            match state.held.take() {
                Some(last) if state.length == size && digest == expected => {
                    *verdict.state() = Some(Ok(()));
                    Ok(Some((last, state)))
                }
                _ => Err(verdict.refuse(SnapshotError::Damaged)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader gets of these pieces, which should be `abcdef`, and the verdict.
    async fn read(pieces: &[&'static str]) -> (String, bool, Result<(), SnapshotError>) {
        read_up_to(1, pieces).await
    }

    async fn read_up_to(
        most: u64,
        pieces: &[&'static str],
    ) -> (String, bool, Result<(), SnapshotError>) {
        let digest = aws_lc_rs::digest::digest(&SHA256, b"abcdef");
        let kept =
            Kept { size: 6, sha256: hex::encode(digest.as_ref()), ..Kept::new(vec![], vec![]) };
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
        let verdict = Verdict::default();
        let read = checked(stream::iter(pieces).boxed(), &kept, most, verdict.clone());
        let mut read = Box::pin(read);
        let (mut text, mut failed) = (String::new(), false);
        while let Some(piece) = read.next().await {
            match piece {
                Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        (text, failed, verdict.take().unwrap())
    }

    #[tokio::test]
    async fn what_is_whole_comes_whole() {
        for pieces in [&["abcdef"][..], &["ab", "", "cdef"], &["a", "b", "c", "d", "e", "f"]] {
            let (text, failed, verdict) = read(pieces).await;
            assert_eq!((text.as_str(), failed), ("abcdef", false));
            assert!(verdict.is_ok());
        }
    }

    #[tokio::test]
    async fn of_what_is_cut_changed_or_longer_the_end_never_comes() {
        for pieces in
            [&["abc", "de"][..], &["abc", "dEf"], &["abcdef", "g"], &["abcdeg", ""], &[], &[""]]
        {
            let (text, failed, verdict) = read(pieces).await;
            assert!(failed, "{pieces:?}: {text}");
            assert!(matches!(verdict, Err(SnapshotError::Damaged)), "{pieces:?}");
            let last = pieces.last().copied().unwrap_or_default();
            assert!(last.is_empty() || !text.ends_with(last), "{pieces:?}: {text}");
        }
    }

    #[tokio::test]
    async fn what_is_longer_than_allowed_is_not_read_on() {
        let (_, failed, verdict) = read_up_to(0, &["abc", "def"]).await;
        assert!(failed && matches!(verdict, Err(SnapshotError::TooLarge(0))));
    }
}
