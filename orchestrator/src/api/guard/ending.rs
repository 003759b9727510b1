//! Ends an answer that would go on for longer than it may.

use std::{future::Future, io};

use axum::{
    body::{Body, HttpBody},
    http::header::CONTENT_TYPE,
    response::Response,
};
use futures::{StreamExt, stream};

/// Whether there is more to come than stands ready.
pub(super) fn is_stream(answer: &Response) -> bool {
    answer.body().size_hint().exact().is_none()
}

/// The answer, until `over` is done. Events end as if there were no more of them; anything else
/// breaks off, so that a part is not taken for the whole.
pub(super) fn by(answer: Response, over: impl Future<Output = ()> + Send + 'static) -> Response {
    let kind = answer.headers().get(CONTENT_TYPE);
    let events = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    answer.map(|body| {
        let start = Some((body.into_data_stream(), Box::pin(over)));
        Body::from_stream(stream::unfold(start, move |state| async move {
            let (mut body, mut over) = state?;
            let piece = tokio::select! {
                biased;
                () = &mut over => None,
                piece = body.next() => Some(piece),
            };
            match piece {
                Some(piece) => piece.map(|piece| (piece, Some((body, over)))),
                None if events => None,
                None => {
                    let cut = io::Error::new(io::ErrorKind::TimedOut, "the credential ended");
                    Some((Err(axum::Error::new(cut)), None))
                }
            }
        }))
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future};

    use axum::{body::to_bytes, response::IntoResponse};

    use super::*;

    fn endless(kind: &'static str) -> Response {
        let first = stream::once(future::ready(Ok::<_, Infallible>("first")));
        let body = Body::from_stream(first.chain(stream::pending()));
        ([(CONTENT_TYPE, kind)], body).into_response()
    }

    #[tokio::test]
    async fn events_end_and_anything_else_breaks_off() {
        let (end, over) = tokio::sync::oneshot::channel::<()>();
        let answer = by(endless("text/event-stream"), async move { drop(over.await) });
        assert!(is_stream(&answer));
        let mut body = answer.into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "first");
        drop(end);
        assert!(body.next().await.is_none());
        let answer = by(endless("application/octet-stream"), future::ready(()));
        to_bytes(answer.into_body(), 1000).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_comes_to_its_end_in_time_is_whole() {
        assert!(!is_stream(&"whole".into_response()));
        let pieces = stream::iter(["a", "b"].map(Ok::<_, Infallible>));
        let answer = by(Body::from_stream(pieces).into_response(), future::pending());
        assert_eq!(to_bytes(answer.into_body(), 1000).await.unwrap(), "ab");
    }
}
