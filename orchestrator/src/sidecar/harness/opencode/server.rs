//! Requests to OpenCode's server.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, body::Incoming};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{exchange, sidecar::WORKSPACE};

/// Largest answer, and largest event.
const MAX_ANSWER: usize = 16 << 20;

pub(super) struct Server {
    port: u16,
    authorization: String,
}

impl Server {
    pub(super) fn new(port: u16, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("opencode:{password}"));
        Self { port, authorization: format!("Basic {credentials}") }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, String> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.call(Method::POST, path, Bytes::from(body.to_string())).await
    }

    /// What happens from now on.
    pub(super) async fn events(&self) -> Result<Events, String> {
        let response = self.send(Method::GET, "/event", Bytes::new()).await?;
        Ok(Events { body: response.into_body(), buffer: BytesMut::new() })
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Value, String> {
        let response = self.send(method, path, body).await?;
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, format!("127.0.0.1:{}", self.port))
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::AUTHORIZATION, &self.authorization)
            .header("x-opencode-directory", WORKSPACE)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let response = exchange::send(stream, request).await.map_err(|error| error.to_string())?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(format!("status {status}")),
        }
    }
}

/// A stream of server-sent events, each one line of data.
pub(super) struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// The next event's data. May be dropped without losing anything.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                let Some(data) = line.strip_prefix(b"data:") else { continue };
                return Some(String::from_utf8_lossy(data).trim().to_owned());
            }
            if self.buffer.len() > MAX_ANSWER {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
