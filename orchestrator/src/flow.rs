//! Bytes that pass between two sides, neither of which is trusted: bounded in silence, and cut off
//! on demand.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, header};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Bytes that are under way in one direction of a tunnel.
const BUFFER: usize = 16 * 1024;

/// They belong to one connection and not to the next one.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Copies in both directions until both are at their end, one of them fails, neither has said
/// anything for `idle`, or it is cut off.
pub(crate) async fn tunnel<A, B>(one: A, other: B, idle: Duration, cut: &CancellationToken)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let heard = Mutex::new(Instant::now());
    let (mut from_one, mut to_one) = split(one);
    let (mut from_other, mut to_other) = split(other);
    let both = async {
        tokio::try_join!(
            copy(&mut from_one, &mut to_other, &heard),
            copy(&mut from_other, &mut to_one, &heard),
        )
    };
    tokio::select! {
        ended = both => if let Err(error) = ended {
            tracing::debug!(%error, "a tunnel broke off");
        },
        () = silence(&heard, idle) => {}
        () = cut.cancelled() => {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    heard: &Mutex<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
    }
}

async fn silence(heard: &Mutex<Instant>, idle: Duration) {
    loop {
        let due = *heard.lock().unwrap_or_else(PoisonError::into_inner) + idle;
        if Instant::now() >= due {
            return;
        }
        sleep_until(due).await;
    }
}

/// The same body, which breaks off when nothing comes for `idle`, or when it is cut off. `kept` is
/// dropped with it. Trailers do not come through.
pub(crate) fn body<B, K>(body: B, idle: Duration, cut: CancellationToken, kept: K) -> Body
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    K: Send + 'static,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::from_stream(stream::unfold(Some((body, cut, kept)), move |state| async move {
        let (mut body, cut, kept) = state?;
        loop {
            let frame = tokio::select! {
                frame = timeout(idle, body.frame()) => frame,
                () = cut.cancelled() => return Some((Err("it was cut off".into()), None)),
            };
            let failed: BoxError = match frame {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Some((Ok(data), Some((body, cut, kept)))),
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => error.into(),
                Err(late) => late.into(),
            };
            return Some((Err(failed), None));
        }
    }))
}

/// Takes out what belongs to the connection: the headers that are known to, and those that
/// `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> = named
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(HOP_BY_HOP.iter()) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn what_belongs_to_the_connection_goes_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-kept", "1"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }

    #[tokio::test]
    async fn a_tunnel_passes_both_ways_and_each_end_by_itself() {
        let (mut client, one) = tokio::io::duplex(64);
        let (other, mut server) = tokio::io::duplex(64);
        let cut = CancellationToken::new();
        let through = tokio::spawn(async move { tunnel(one, other, LONG, &cut).await });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        server.read_to_string(&mut asked).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        through.await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
    }

    #[tokio::test]
    async fn a_silent_tunnel_ends_and_so_does_one_that_is_cut() {
        let ends = async |idle: Duration, cut: &CancellationToken| {
            let (_client, one) = tokio::io::duplex(64);
            let (other, _server) = tokio::io::duplex(64);
            timeout(LONG / 10, tunnel(one, other, idle, cut)).await.is_ok()
        };
        let cut = CancellationToken::new();
        assert!(ends(Duration::from_millis(10), &cut).await);
        cut.cancel();
        assert!(ends(LONG, &cut).await);
    }

    #[tokio::test]
    async fn a_body_comes_through_until_it_is_cut_or_silent() {
        let cut = CancellationToken::new();
        let whole = body(Body::from("whole"), LONG, cut.clone(), ());
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "whole");
        let endless = || Body::from_stream(stream::pending::<Result<Bytes, BoxError>>());
        let soon = Duration::from_millis(10);
        assert!(body(endless(), soon, cut.clone(), ()).collect().await.is_err());
        cut.cancel();
        let ended = timeout(LONG / 10, body(endless(), LONG, cut, ()).collect()).await;
        assert!(ended.unwrap().is_err());
    }
}
