//! One HTTP request to the gateway, over a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, body::Incoming};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use super::Failure;
use crate::exchange;

/// The gateway is on the loopback interface.
const CONNECT: Duration = Duration::from_secs(10);
/// A small machine may read a long conversation for minutes before the first word, and a provider
/// may think for as long between two.
const SILENCE: Duration = Duration::from_secs(600);
/// Largest refusal that is read.
const MAX_REFUSAL: usize = 64 * 1024;

/// An answer as it streams.
#[derive(Debug)]
pub(super) struct Body(Incoming);

impl Body {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout(SILENCE, self.0.frame()).await.map_err(|_| silent())?;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(broken)?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// Posts a request and returns the body of a good answer.
pub(super) async fn post(
    gateway_url: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> Result<Body, Failure> {
    let uri: Uri = gateway_url.parse().map_err(broken)?;
    let authority = uri.authority().ok_or_else(|| broken("the gateway has no address"))?;
    let port = authority.port_u16().unwrap_or(80);
    let prefix = uri.path().trim_end_matches('/');
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{prefix}{path}"))
        .header(header::HOST, authority.as_str())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::USER_AGENT, concat!("skein/", env!("CARGO_PKG_VERSION")))
        .header("anthropic-version", "2023-06-01")
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(broken)?;

    let connecting = TcpStream::connect((authority.host(), port));
    let stream = timeout(CONNECT, connecting).await.map_err(|_| silent())?.map_err(broken)?;
    let answered = timeout(SILENCE, exchange::send(stream, request));
    let response = answered.await.map_err(|_| silent())?;
    let (head, body) = response.map_err(broken)?.into_parts();
    if head.status.is_success() {
        return Ok(Body(body));
    }
    let reading = Limited::new(body, MAX_REFUSAL).collect();
    let text = match timeout(CONNECT, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    Err(Failure::refused(head.status.as_u16(), &text, retry_after(&head.headers)))
}

/// Seconds only: nobody sends the other form, a date, with a model's answer.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

fn silent() -> Failure {
    broken("no answer came")
}
