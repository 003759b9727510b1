//! A viewer as the tests see it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Response,
        http::{HeaderValue, header},
    },
};

use super::ORIGIN;

/// Long enough for any machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a viewer introduces itself.
#[derive(Clone, Default)]
pub(super) struct Offer {
    pub(super) protocols: Option<String>,
    pub(super) origin: Option<String>,
    /// Bytes the kernel may keep unread.
    pub(super) receive_buffer: Option<u32>,
}

impl Offer {
    pub(super) fn bearer(token: &str) -> Self {
        let protocols = format!("tangle.session.v1, bearer.{}", URL_SAFE_NO_PAD.encode(token));
        Self { protocols: Some(protocols), ..Self::page() }
    }

    /// A page of the product, without a token in its headers.
    pub(super) fn page() -> Self {
        Self { origin: Some(ORIGIN.to_owned()), ..Self::default() }
    }
}

pub(super) struct Viewer {
    socket: WebSocketStream<TcpStream>,
    pub(super) response: Response,
}

impl Viewer {
    pub(super) async fn open(url: &str, offer: Offer) -> Result<Self, Error> {
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        if let Some(protocols) = offer.protocols {
            let value = HeaderValue::from_str(&protocols).unwrap();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        if let Some(origin) = offer.origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(&origin).unwrap());
        }
        let address: std::net::SocketAddr =
            request.uri().authority().unwrap().as_str().parse().unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        if let Some(bytes) = offer.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address).await?;
        let (socket, response) = client_async(request, stream).await?;
        Ok(Self { socket, response })
    }

    pub(super) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// The next frame, pings aside; `Err` holds the close code.
    pub(super) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("no frame came");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] != "ping" {
                        return Ok(frame);
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    pub(super) async fn expect(&mut self, kind: &str) -> Value {
        let frame =
            self.next().await.unwrap_or_else(|code| panic!("{kind} wanted, closed: {code}"));
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// Reads so many events, without a look at them.
    pub(super) async fn take_events(&mut self, count: usize) {
        let mut taken = 0;
        while taken < count {
            match timeout(PATIENCE, self.socket.next()).await.expect("no frame came") {
                Some(Ok(Message::Text(text))) => {
                    taken += usize::from(text.as_str().contains("\"agent.event\""));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads frames until the gateway closes; gives its code.
    pub(super) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// Reads the numbers of events until the given one has come.
    pub(super) async fn seqs_until(&mut self, last: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.last() != Some(&last) {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed: {code}"));
            if frame["type"] == "agent.event" {
                seqs.push(frame["seq"].as_u64().unwrap());
            }
        }
        seqs
    }
}
