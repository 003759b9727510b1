//! The transport of the browser: gloo-net.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Sink, Stream};
use gloo_net::websocket::{Message, WebSocketError, futures::WebSocket};
use gloo_timers::future::TimeoutFuture;
use web_time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::machine::Now;
use crate::types::close_code;

/// What the browser reports when a connection could not be opened, or broke.
const ABNORMAL: u16 = 1006;

pub(super) type Sleep = TimeoutFuture;

pub(super) enum Incoming {
    Text(String),
    Closed { code: u16, reason: String },
}

pub(super) enum Socket {
    Open(WebSocket),
    /// The browser refused to try.
    Refused,
}

pub(super) fn can_spawn() -> bool {
    true
}

pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(task);
}

pub(super) fn sleep(millis: u64) -> Sleep {
    // Longer than the browser's timers can count: it rings early, which does no harm.
    TimeoutFuture::new(u32::try_from(millis).unwrap_or(u32::MAX).min(i32::MAX as u32))
}

thread_local! {
    static START: Instant = Instant::now();
}

pub(super) fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Now {
        mono_ms: START.with(Instant::elapsed).as_millis() as u64,
        unix_ms: unix.as_millis() as i64,
    }
}

impl Socket {
    pub(super) fn open(url: String, protocols: [String; 2]) -> Self {
        let offered: js_sys::Array =
            protocols.iter().map(|protocol| js_sys::JsString::from(protocol.as_str())).collect();
        let socket = web_sys::WebSocket::new_with_str_sequence(&url, &offered)
            .ok()
            .and_then(|socket| WebSocket::try_from(socket).ok());
        socket.map_or(Self::Refused, Self::Open)
    }

    pub(super) fn send(&mut self, text: String) {
        if let Self::Open(socket) = self {
            // Only sent once the gateway has welcomed us: the socket is open, and the browser queues.
            Pin::new(socket).start_send(Message::Text(text)).ok();
        }
    }

    pub(super) fn close(self, code: u16, reason: &'static str) {
        if let Self::Open(socket) = self {
            socket.close(Some(code), Some(reason)).ok();
        }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let Self::Open(socket) = self else {
            return Poll::Ready(closed(close_code::PROTOCOL, "the browser refuses the URL"));
        };
        loop {
            return match Pin::new(&mut *socket).poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(Message::Text(text)))) => Poll::Ready(Incoming::Text(text)),
                Poll::Ready(Some(Err(WebSocketError::ConnectionClose(close)))) => {
                    Poll::Ready(closed(close.code, &close.reason))
                }
                Poll::Ready(None) => Poll::Ready(closed(ABNORMAL, "")),
                // After an error the browser always says how the connection closed; binary messages are
                // not of this protocol.
                Poll::Ready(Some(_)) => continue,
            };
        }
    }
}

fn closed(code: u16, reason: &str) -> Incoming {
    Incoming::Closed { code, reason: reason.to_owned() }
}
