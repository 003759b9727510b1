//! The way from an agent to the model gateway: a port on the sandbox's loopback, copied to the
//! gateway's socket.
//!
//! An agent is given a key of its own that is good for nothing but this port. The turn's token is put in
//! its place here, in the sidecar, whose memory nothing in the sandbox can read: so it is neither in an
//! agent's environment nor in what an agent could print, and an agent that stays for the next turn needs
//! no new key.

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use tokio::{
    net::{TcpListener, UnixStream},
    time::Instant,
};

use super::{
    super::{MODELS_SOCKET, ports},
    random_hex,
};
use crate::exchange;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// They belong to one connection and not to the next one.
const HOP_BY_HOP: [HeaderName; 3] =
    [header::CONNECTION, header::TRANSFER_ENCODING, HeaderName::from_static("keep-alive")];

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Forwarder {
    port: u16,
    doors: Doors,
}

type Doors = Arc<Mutex<HashMap<String, Arc<Passage>>>>;

/// What goes through one door.
#[derive(Default)]
struct Passage {
    /// The running turn's token.
    token: Mutex<Option<String>>,
    traffic: Traffic,
}

/// One agent's way to the gateway: its key, and the token of the turn that it works for.
pub(super) struct Door {
    key: String,
    passage: Arc<Passage>,
    doors: Doors,
}

/// Whether an agent waits for its model, and when it last heard from it.
#[derive(Default)]
pub(super) struct Traffic {
    waiting: AtomicUsize,
    heard: Mutex<Option<Instant>>,
}

impl Forwarder {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        ports::keep_closed(port);
        let doors = Doors::default();
        let router = Router::new().fallback(forward).with_state(Arc::clone(&doors));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port, doors })
    }

    /// Where agents find their models, without a path.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a door, closed.
    pub(super) fn door(&self) -> io::Result<Door> {
        let (key, passage) = (random_hex()?, Arc::<Passage>::default());
        lock(&self.doors).insert(key.clone(), Arc::clone(&passage));
        Ok(Door { key, passage, doors: Arc::clone(&self.doors) })
    }
}

impl Door {
    /// What the agent has to send as its API key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn open(&self, token: String) {
        *lock(&self.passage.token) = Some(token);
    }

    pub(super) fn close(&self) {
        *lock(&self.passage.token) = None;
    }

    /// When the agent last heard from its model, and whether it waits for more.
    pub(super) fn traffic(&self) -> (Option<Instant>, bool) {
        let traffic = &self.passage.traffic;
        (*lock(&traffic.heard), traffic.waiting.load(Ordering::Relaxed) > 0)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        lock(&self.doors).remove(&self.key);
    }
}

/// A request under way.
struct Waiting(Arc<Passage>);

impl Waiting {
    fn new(passage: Arc<Passage>) -> Self {
        passage.traffic.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(passage);
        waiting.heard();
        waiting
    }

    fn heard(&self) {
        *lock(&self.0.traffic.heard) = Some(Instant::now());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.heard();
        self.0.traffic.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn forward(State(doors): State<Doors>, mut request: Request) -> Response {
    let passage = key(request.headers()).and_then(|key| lock(&doors).get(&key).cloned());
    let waiting = match passage {
        Some(passage) => {
            let Some(token) = lock(&passage.token).clone() else {
                return refused("no turn is running");
            };
            if !replace_key(request.headers_mut(), &token) {
                return refused("the turn's token cannot be sent");
            }
            Some(Waiting::new(passage))
        }
        // The gateway knows what to do with a key that is none of ours.
        None => None,
    };
    HOP_BY_HOP.iter().for_each(|name| drop(request.headers_mut().remove(name)));
    match send(request).await {
        Ok(mut response) => {
            HOP_BY_HOP.iter().for_each(|name| drop(response.headers_mut().remove(name)));
            response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    waiting.iter().for_each(Waiting::heard);
                    frame
                }))
            })
        }
        Err(reason) => refused(&reason),
    }
}

/// An answer that breaks off breaks off for the agent, too; an agent that goes away ends it.
async fn send(request: Request) -> Result<hyper::Response<hyper::body::Incoming>, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("the models cannot be reached: {error}");
    let stream = UnixStream::connect(MODELS_SOCKET).await.map_err(|error| cannot(&error))?;
    exchange::send(stream, request).await.map_err(|error| cannot(&error))
}

fn key(headers: &HeaderMap) -> Option<String> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let key = bearer.or_else(|| headers.get(API_KEY)?.to_str().ok());
    key.map(str::to_owned)
}

fn replace_key(headers: &mut HeaderMap, token: &str) -> bool {
    headers.remove(API_KEY);
    let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) else { return false };
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    true
}

/// Agents give up on this status at once; others they would try again for minutes.
fn refused(message: &str) -> Response {
    let error = serde_json::json!({ "type": "permission_error", "message": message });
    let body = serde_json::json!({ "type": "error", "error": error });
    (StatusCode::FORBIDDEN, axum::Json(body)).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
