//! A provider that says byte for byte what it is told to, and remembers what it was sent.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response},
};
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinHandle};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What it says to every request.
#[derive(Clone, Debug)]
pub(super) struct Says {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) pieces: Vec<String>,
    /// Before each piece.
    pub(super) pause: Duration,
}

#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    serving: JoinHandle<()>,
}

impl Says {
    pub(super) fn new(status: u16, kind: &str, pieces: &[&str]) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(),
            pause: Duration::ZERO,
        }
    }
}

impl Upstream {
    pub(super) async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(answer).with_state((says, arrived.clone()));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, arrived, serving }
    }

    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A provider that takes the beginning of each request and hangs up; where it is.
pub(super) async fn hanging_up() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 64]).await.unwrap();
        }
    });
    url
}

async fn answer(
    State((says, arrived)): State<(Says, Arc<Mutex<Vec<Arrived>>>)>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    arrived.lock().unwrap().push(Arrived {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body,
    });
    let mut response = Response::builder().status(says.status);
    for (name, value) in &says.headers {
        response = response.header(*name, value);
    }
    let pieces = futures::stream::unfold(says.pieces.into_iter(), move |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(says.pause).await;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    response.body(Body::from_stream(pieces)).unwrap()
}
