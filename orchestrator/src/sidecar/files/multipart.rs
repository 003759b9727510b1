//! Forms that carry a file.
//!
//! Some clients send a form and say that it is JSON, so without its boundary. Then the body's first
//! line tells it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use bytes::BytesMut;
use futures::{Stream, StreamExt};
use multer::{Field, Multipart};

use super::super::api::Problem;

/// Longest boundary there may be.
const MAX_BOUNDARY: usize = 70;
/// Bytes that are read for something that does not come: a head without an end, mostly.
const MAX_UNREAD: usize = 2 << 20;
/// Longest value of a field that is no file.
const MAX_VALUE: usize = 8 << 10;

/// A form as it comes in.
pub(super) struct Form {
    parts: Multipart<'static>,
    unread: Arc<AtomicUsize>,
}

impl Form {
    pub(super) async fn of(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let mut body = body.into_data_stream();
        let mut begin = BytesMut::new();
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let boundary = match kind.map(multer::parse_boundary) {
            Some(Ok(boundary)) => boundary,
            _ => first_line(&mut body, &mut begin).await?,
        };
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
            return Err(no_form());
        }
        let unread = Arc::new(AtomicUsize::new(0));
        let begin = Some(begin.freeze()).filter(|begin| !begin.is_empty());
        let paced = Paced { begin, body, unread: Arc::clone(&unread), rests: false };
        Ok(Self { parts: Multipart::new(paced, boundary), unread })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Field<'static>>, Problem> {
        let next = self.parts.next_field().await.map_err(|error| broken(&error))?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(next)
    }

    /// The next piece of a field.
    pub(super) async fn piece(&self, field: &mut Field<'static>) -> Result<Option<Bytes>, Problem> {
        let piece = field.chunk().await.map_err(|error| broken(&error))?;
        self.unread.store(0, Ordering::Relaxed);
        Ok(piece)
    }

    /// The whole of a short field.
    pub(super) async fn text(&self, mut field: Field<'static>) -> Result<String, Problem> {
        let mut value = Vec::new();
        while let Some(piece) = self.piece(&mut field).await? {
            value.extend_from_slice(&piece);
            if value.len() > MAX_VALUE {
                return Err(Problem::invalid("a field of the form is too long"));
            }
        }
        String::from_utf8(value).map_err(|_| Problem::invalid("a field of the form is not UTF-8"))
    }
}

/// The boundary in the body's first line.
async fn first_line(body: &mut BodyDataStream, begin: &mut BytesMut) -> Result<String, Problem> {
    loop {
        if let Some(end) = begin.windows(2).position(|end| end == b"\r\n") {
            return boundary(begin.get(..end).unwrap_or_default()).ok_or_else(no_form);
        }
        if begin.len() > MAX_BOUNDARY + 4 {
            return Err(no_form());
        }
        match body.next().await {
            Some(Ok(piece)) => begin.extend_from_slice(&piece),
            Some(Err(_)) => return Err(super::unread()),
            None => return Err(no_form()),
        }
    }
}

/// The boundary that a line is, in the letters that there are for it.
fn boundary(line: &[u8]) -> Option<String> {
    let boundary = std::str::from_utf8(line.strip_prefix(b"--")?).ok()?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(c);
    (!boundary.is_empty() && boundary.chars().all(is_fine)).then(|| boundary.to_owned())
}

fn no_form() -> Problem {
    Problem::invalid("the body must be multipart/form-data")
}

fn broken(error: &multer::Error) -> Problem {
    let words: String = error.to_string().chars().take(200).collect();
    Problem::invalid(format!("the form could not be read: {words}"))
}

/// A body that comes one piece at a time: the parser would take all there is into memory. It breaks
/// off when much was read and nothing came of it.
struct Paced {
    begin: Option<Bytes>,
    body: BodyDataStream,
    unread: Arc<AtomicUsize>,
    rests: bool,
}

impl Stream for Paced {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = match self.begin.take() {
            Some(begin) => Some(Ok(begin)),
            None => std::task::ready!(self.body.poll_next_unpin(context)),
        };
        let piece = match piece {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            None => return Poll::Ready(None),
        };
        self.rests = true;
        let unread = self.unread.fetch_add(piece.len(), Ordering::Relaxed);
        if unread > MAX_UNREAD {
            return Poll::Ready(Some(Err(io::Error::other("a part has no end to its head"))));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fields(kind: &'static str, body: Body) -> Result<Vec<(String, String)>, Problem> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
        let mut form = Form::of(&headers, body).await?;
        let mut fields = Vec::new();
        while let Some(field) = form.next().await? {
            let name = field.name().unwrap_or_default().to_owned();
            fields.push((name, form.text(field).await?));
        }
        Ok(fields)
    }

    const FORM: &str = "--x-1\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\na/b\r\n\
                        --x-1\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\none\r\n--x-1--\r\n";

    #[tokio::test]
    async fn the_boundary_is_told_by_the_head_or_by_the_first_line() {
        for kind in ["multipart/form-data; boundary=x-1", "application/json", "text/plain"] {
            let fields = fields(kind, Body::from(FORM)).await.unwrap();
            let expected = [("path", "a/b"), ("file", "one")];
            assert_eq!(fields, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        }
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        for body in ["", "{}", "--", "--\r\n", "--a\u{1}\r\n", &"-".repeat(500), &FORM[..90]] {
            fields("application/json", Body::from(body.to_owned())).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_not_kept() {
        let pieces = (0..1000).map(|_| Ok::<_, io::Error>(Bytes::from(vec![b'a'; 64 << 10])));
        let begin = Ok(Bytes::from_static(b"--x\r\nContent-Disposition: "));
        let endless = Body::from_stream(futures::stream::iter([begin].into_iter().chain(pieces)));
        fields("application/json", endless).await.unwrap_err();
    }
}
