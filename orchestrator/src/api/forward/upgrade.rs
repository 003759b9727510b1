//! Passes a WebSocket on to a sandbox: the same messages both ways, each side within its bounds.
//!
//! Of the client's request nothing reaches the sandbox but the path. The token, which may stand among
//! the subprotocols, stays here. Where pages may connect from is checked with the token.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    http::HeaderValue,
    response::Response,
};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use sandbox_sdk::types::{ErrorBody, ErrorCode, SUBPROTOCOL, close_code};
use tokio::{
    net::UnixStream,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Error, error::CapacityError, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;

use super::super::App;
use crate::{
    error::ApiError,
    sidecar::{SidecarClient, SidecarError},
};

/// Largest message of either side.
const MAX_MESSAGE: usize = 64 << 10;
const READ_BUFFER: usize = 4 << 10;
const WRITE_BUFFER: usize = 16 << 10;
const MAX_WRITE_BUFFER: usize = 256 << 10;
/// How long the sandbox may take to open its end.
const OPENING: Duration = Duration::from_secs(20);
/// A side that takes nothing for so long is cut off.
const STALL: Duration = Duration::from_secs(15);
const PING: Duration = Duration::from_secs(30);
/// A client that says nothing for so long, not even that it is there, is gone.
const SILENCE: Duration = Duration::from_secs(75);
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a reason, of which a close frame holds 123 at most.
const MAX_REASON: usize = 100;

type Inner = WebSocketStream<UnixStream>;

/// Connects the client with the sandbox, which is resumed first if it has to and counts as in use
/// meanwhile. `until`: when the connection has to end.
///
/// # Errors
/// What the sandbox refuses, in the API's words; 503 if it does not answer.
pub(in crate::api) async fn run(
    app: &Arc<App>,
    id: &str,
    path: &str,
    upgrade: WebSocketUpgrade,
    until: Option<Instant>,
) -> Result<Response, ApiError> {
    let lease = app.sandboxes.lease(id).await?;
    let inside = open(lease.sidecar(), path).await?;
    let draining = app.gateway.draining();
    let selected = selected(&upgrade.requested_protocols().collect::<Vec<_>>());
    let mut upgrade = bounded(upgrade);
    if let Some(selected) = selected {
        upgrade.set_selected_protocol(selected);
    }
    Ok(upgrade.on_upgrade(move |client| async move {
        relay(client, inside, until, draining).await;
        drop(lease);
    }))
}

/// The client's side within its bounds.
fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
}

/// The subprotocol that is answered, as at the gateway. A browser insists on one of those that it
/// offered; the token is answered only where nothing else was.
fn selected(offered: &[&HeaderValue]) -> Option<HeaderValue> {
    let named = offered.iter().find(|name| name.as_bytes() == SUBPROTOCOL.as_bytes());
    let bearer = || offered.iter().find(|name| name.as_bytes().starts_with(b"bearer."));
    named.or_else(bearer).map(|name| (*name).clone())
}

/// The sandbox's end.
async fn open(sidecar: &SidecarClient, path: &str) -> Result<Inner, SidecarError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER);
    let opening = async {
        let stream = sidecar.connect().await?;
        let address = format!("ws://sandbox{path}");
        let opened = client_async_with_config(address, stream, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(refusal)
    };
    let late = |_| SidecarError::Unreachable("it took too long".to_owned());
    timeout(OPENING, opening).await.map_err(late)?
}

fn refusal(error: Error) -> SidecarError {
    let answer = match error {
        Error::Http(answer) => answer,
        other => return SidecarError::Unreachable(other.to_string()),
    };
    let body = answer.body().as_deref().unwrap_or_default();
    let status = answer.status().as_u16();
    let said = serde_json::from_slice(body);
    let said = said
        .unwrap_or_else(|_| ErrorBody::new(ErrorCode::Server, "The sandbox does not open this."));
    SidecarError::refused(status, said)
}

/// Why a connection ends.
struct Ending {
    code: u16,
    reason: String,
}

impl Ending {
    fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }

    fn slow() -> Self {
        Self::new(close_code::SLOW, "too slow")
    }

    fn gone() -> Self {
        Self::new(close_code::DONE, "")
    }

    fn broken() -> Self {
        Self::new(close_code::INTERNAL, "the sandbox does not answer")
    }

    /// Of a client that can't be read any more.
    fn unread(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref::<Error>() {
            Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => Self::new(
                close_code::TOO_LARGE,
                "MESSAGE_TOO_LARGE: a message holds 64 KiB at most",
            ),
            Some(Error::Protocol(_) | Error::Utf8(_)) => {
                Self::new(close_code::PROTOCOL, "broken frames")
            }
            _ => Self::gone(),
        }
    }

    /// As the sandbox has it, as far as it may say so.
    fn of_sandbox(frame: Option<tungstenite::protocol::CloseFrame>) -> Self {
        let Some(frame) = frame else { return Self::broken() };
        let code = match u16::from(frame.code) {
            code @ (close_code::DONE | close_code::PROTOCOL | close_code::SLOW) => code,
            _ => close_code::INTERNAL,
        };
        let reason = frame.reason.as_str();
        Self::new(code, &reason[..reason.floor_char_boundary(MAX_REASON)])
    }
}

async fn relay(
    client: WebSocket,
    inside: Inner,
    until: Option<Instant>,
    draining: CancellationToken,
) {
    let (mut to_client, mut from_client) = client.split();
    let (to_inside, from_inside) = inside.split();
    // None of them first: what the sandbox sends without a pause must not keep what is typed, or the
    // end, from its turn.
    let ending = tokio::select! {
        () = end_of(until) => Ending::new(close_code::TOKEN, "the token has ended"),
        () = draining.cancelled() => Ending::new(close_code::RESTART, "come back"),
        ending = down(from_inside, &mut to_client) => ending,
        ending = up(&mut from_client, to_inside) => ending,
    };
    let frame = CloseFrame { code: ending.code, reason: ending.reason.into() };
    // Whether it arrives is the client's matter; both connections end either way.
    timeout(FAREWELL, to_client.send(Message::Close(Some(frame)))).await.ok();
    // Unread messages would turn the end of the connection into a reset, and the code would be lost.
    let rest = async { while let Some(Ok(_)) = from_client.next().await {} };
    timeout(FAREWELL, rest).await.ok();
}

async fn end_of(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// From the sandbox to the client.
async fn down(mut from: SplitStream<Inner>, to: &mut SplitSink<WebSocket, Message>) -> Ending {
    let mut pings = pings();
    loop {
        let message = tokio::select! {
            message = from.next() => match message {
                Some(Ok(tungstenite::Message::Binary(bytes))) => Message::Binary(bytes),
                Some(Ok(tungstenite::Message::Text(text))) => Message::text(text.as_str()),
                Some(Ok(tungstenite::Message::Close(frame))) => return Ending::of_sandbox(frame),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Ending::broken(),
            },
            _ = pings.tick() => Message::Ping(bytes::Bytes::new()),
        };
        match timeout(STALL, to.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ending::gone(),
            Err(_) => return Ending::slow(),
        }
    }
}

fn pings() -> Interval {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// From the client to the sandbox.
async fn up(
    from: &mut SplitStream<WebSocket>,
    mut to: SplitSink<Inner, tungstenite::Message>,
) -> Ending {
    loop {
        let message = match timeout(SILENCE, from.next()).await {
            Err(_) => return Ending::new(close_code::PING_TIMEOUT, "silent for too long"),
            Ok(Some(Ok(Message::Binary(bytes)))) => tungstenite::Message::Binary(bytes),
            Ok(Some(Ok(Message::Text(text)))) => tungstenite::Message::text(text.as_str()),
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Close(_))) | None) => return Ending::gone(),
            Ok(Some(Err(error))) => return Ending::unread(error),
        };
        match timeout(STALL, to.send(message)).await {
            Ok(Ok(())) => {}
            // It has ended. Why, it may have told before; the other direction comes by that.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return Ending::broken(),
        }
    }
}
