//! The transport of servers and tests: tokio-tungstenite.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, Sink, Stream, future::BoxFuture};
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use super::machine::Now;
use crate::types::close_code;

/// Largest message that is read; an event may hold a whole file.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Closed without a close frame.
const ABNORMAL: u16 = 1006;
/// Close frame without a code.
const NO_STATUS: u16 = 1005;

type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;
pub(super) type Sleep = Pin<Box<tokio::time::Sleep>>;

pub(super) enum Incoming {
    Text(String),
    Closed { code: u16, reason: String },
}

pub(super) enum Socket {
    Opening(BoxFuture<'static, Result<WebSocket, Incoming>>),
    Open { stream: Box<WebSocket>, outgoing: VecDeque<Message> },
}

pub(super) fn can_spawn() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

pub(super) fn sleep(millis: u64) -> Sleep {
    Box::pin(tokio::time::sleep(Duration::from_millis(millis)))
}

pub(super) fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now {
        mono_ms: millis(START.get_or_init(Instant::now).elapsed()),
        unix_ms: i64::try_from(millis(unix)).unwrap_or(i64::MAX),
    }
}

impl Socket {
    pub(super) fn open(url: String, protocols: [String; 2]) -> Self {
        Self::Opening(connect(url, protocols).boxed())
    }

    pub(super) fn send(&mut self, text: String) {
        if let Self::Open { outgoing, .. } = self {
            outgoing.push_back(Message::text(text));
        }
    }

    /// Says goodbye in the background, for a short while only.
    pub(super) fn close(self, code: u16, reason: &'static str) {
        if let Self::Open { mut stream, .. } = self {
            tokio::spawn(async move {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                // Either way the socket ends here.
                timeout(CLOSE_TIMEOUT, stream.close(Some(frame))).await.ok();
            });
        }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if let Self::Opening(opening) = self {
            match opening.poll_unpin(cx) {
                Poll::Ready(Ok(stream)) => {
                    *self = Self::Open { stream: Box::new(stream), outgoing: VecDeque::new() };
                }
                Poll::Ready(Err(closed)) => return Poll::Ready(closed),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Self::Open { stream, outgoing } = self else { return Poll::Pending };
        let mut stream = Pin::new(&mut **stream);
        if let Poll::Ready(Err(error)) = poll_send(stream.as_mut(), outgoing, cx) {
            return Poll::Ready(closed_by(&error));
        }
        loop {
            let message = match stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(closed_by(&error)),
                Poll::Ready(None) => return Poll::Ready(closed(ABNORMAL, "the connection broke")),
                Poll::Pending => return Poll::Pending,
            };
            match message {
                Message::Text(text) => {
                    return Poll::Ready(Incoming::Text(text.as_str().to_owned()));
                }
                Message::Close(Some(frame)) => {
                    return Poll::Ready(closed(frame.code.into(), frame.reason.as_str()));
                }
                Message::Close(None) => return Poll::Ready(closed(NO_STATUS, "")),
                // Pings are answered by the library; binary messages are not of this protocol.
                _ => {}
            }
        }
    }
}

fn poll_send(
    mut stream: Pin<&mut WebSocket>,
    outgoing: &mut VecDeque<Message>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    while !outgoing.is_empty() {
        std::task::ready!(stream.as_mut().poll_ready(cx))?;
        if let Some(message) = outgoing.pop_front() {
            stream.as_mut().start_send(message)?;
        }
    }
    stream.as_mut().poll_flush(cx)
}

async fn connect(url: String, protocols: [String; 2]) -> Result<WebSocket, Incoming> {
    // TLS needs a process-wide choice of its cryptography; a second choice is refused, which is fine.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    }
    let mut request =
        url.into_client_request().map_err(|_| closed(close_code::PROTOCOL, "not a gateway URL"))?;
    let mut offered = HeaderValue::from_str(&protocols.join(", "))
        .map_err(|_| closed(close_code::PROTOCOL, "not a token"))?;
    offered.set_sensitive(true);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    match connect_async_with_config(request, Some(config), true).await {
        Ok((stream, _)) => Ok(stream),
        Err(error) => Err(closed_by(&error)),
    }
}

/// Gateways answer with close codes; what stands before one may refuse with an HTTP status.
fn closed_by(error: &Error) -> Incoming {
    let code = match error {
        Error::Http(response) => match response.status().as_u16() {
            401 => close_code::TOKEN,
            403 => close_code::FORBIDDEN,
            404 => close_code::UNKNOWN_SESSION,
            429 => close_code::SLOW,
            503 => close_code::OVERLOADED,
            _ => ABNORMAL,
        },
        _ => ABNORMAL,
    };
    closed(code, &error.to_string())
}

fn closed(code: u16, reason: &str) -> Incoming {
    Incoming::Closed { code, reason: reason.to_owned() }
}
