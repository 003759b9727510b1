//! A viewer of one session.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::StreamExt;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
    },
};

use super::{PATIENCE, product::ORIGIN};

pub(crate) struct Viewer(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// An event as a viewer gets it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

impl Viewer {
    pub(crate) async fn open(url: &str, token: &str) -> Self {
        Self::try_open(url, token).await.unwrap()
    }

    pub(crate) async fn try_open(
        url: &str,
        token: &str,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = url.into_client_request()?;
        let offer = format!("tangle.session.v1, bearer.{}", URL_SAFE_NO_PAD.encode(token));
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&offer).unwrap());
        headers.insert(header::ORIGIN, HeaderValue::from_static(ORIGIN));
        Ok(Self(connect_async(request).await?.0))
    }

    /// The next frame, pings aside; `Err` holds the close code.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("no frame came") {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] != "ping" {
                        return Ok(frame);
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next event; `Err` when the connection closes before.
    pub(crate) async fn event(&mut self) -> Result<Seen, u16> {
        loop {
            let mut frame = self.next().await?;
            if frame["type"] == "agent.event" {
                let mut event = frame["data"].take();
                return Ok(Seen {
                    seq: frame["seq"].as_u64().unwrap(),
                    kind: event["type"].as_str().unwrap().to_owned(),
                    data: event["data"].take(),
                });
            }
        }
    }

    /// Events up to and with the first of the given kind.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        while seen.last().is_none_or(|last| last.kind != kind) {
            seen.push(self.event().await.unwrap_or_else(|code| panic!("closed: {code}")));
        }
        seen
    }

    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}
