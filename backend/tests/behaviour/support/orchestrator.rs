//! An orchestrator that does what the test says, over a real socket.
//!
//! It keeps sandboxes, mappings and turn records as the real one does; turns run until the test ends
//! them. Every call is logged, and every kind of call can be made to fail or hang, before or after
//! it took effect.

mod interactions;
mod observe;
mod sandboxes;
mod script;
mod turns;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use sandbox_sdk::types::{
    AgentCatalog, BackendChoice, ErrorBody, ErrorCode, InteractionAnswer, InteractionRequest,
    SandboxStatus, SessionMapping, TurnLimits, TurnRecord,
};
use tokio::{net::TcpListener, sync::watch};

use interactions::{answer, waiting};
use sandboxes::{agents, create, delete, map, read, resume};
use turns::{abort, dispatch, record};

pub(crate) const API_KEY: &str = "orch_prod_test";
const EVENTS_OF_A_TURN: u64 = 5;
/// A wait for something that another task does; long enough for any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to a kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused with this status; nothing happens.
    Refuse(u16),
    /// Never answered; nothing happens.
    HangBefore,
    /// It happens, but the answer never comes.
    HangAfter,
}

#[derive(Clone)]
pub(crate) struct Orchestrator {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<Book>,
    /// Counts changes of the faults, for calls that hang until theirs is lifted.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Book {
    log: Vec<String>,
    /// The trace that each call came with, by its method and path.
    traces: Vec<(String, Option<String>)>,
    faults: BTreeMap<&'static str, Fault>,
    sandboxes: BTreeMap<String, Made>,
    mappings: BTreeMap<String, SessionMapping>,
    turns: BTreeMap<(String, String), Turn>,
    /// What agents wait for, by session.
    waiting: Vec<(String, InteractionRequest)>,
    answers: Vec<InteractionAnswer>,
    /// Status that new sandboxes have.
    born: Option<SandboxStatus>,
    /// None: it has no catalog.
    catalog: Option<AgentCatalog>,
}

struct Made {
    status: SandboxStatus,
    key: Option<String>,
}

#[derive(Clone)]
struct Turn {
    record: TurnRecord,
    prompt: String,
    backend: Option<BackendChoice>,
    limits: TurnLimits,
}

impl Orchestrator {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Inner { state: Mutex::default(), changes: watch::channel(0).0 });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let runtime = "/v1/sandboxes/{id}/runtime/agents/sessions/{session}";
        let app = Router::new()
            .route("/v1/agents", get(agents))
            .route("/v1/sandboxes", post(create))
            .route("/v1/sandboxes/{id}", get(read).delete(delete))
            .route("/v1/sandboxes/{id}/resume", post(resume))
            .route("/v1/session/{session}/mapping", put(map))
            .route(&format!("{runtime}/messages"), post(dispatch))
            .route(&format!("{runtime}/abort"), post(abort))
            .route(&format!("{runtime}/turns/{{turn}}"), get(record))
            .route(&format!("{runtime}/interactions"), get(waiting).post(answer))
            .layer(from_fn_with_state(inner.clone(), note_trace))
            .with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, inner }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.state.lock().unwrap()
    }

    fn turn(&self, turn: &str) -> Turn {
        let book = self.book();
        book.turns.iter().find(|((_, id), _)| id == turn).expect("a dispatched turn").1.clone()
    }
}

impl Inner {
    /// Does a call the way its fault says.
    async fn call(
        &self,
        kind: &'static str,
        what: &str,
        headers: &HeaderMap,
        act: impl FnOnce(&mut Book) -> Response,
    ) -> Response {
        let key = headers.get("authorization").and_then(|value| value.to_str().ok());
        if key != Some(&format!("Bearer {API_KEY}")) {
            return error(ErrorCode::Auth, "no key");
        }
        self.state.lock().unwrap().log.push(format!("{kind} {what}"));
        match self.fault_of(kind) {
            Some(Fault::Refuse(status)) => {
                let body = ErrorBody::new(ErrorCode::Unavailable, "scripted");
                (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
            }
            Some(Fault::HangBefore) => {
                self.lifted(kind).await;
                act(&mut self.state.lock().unwrap())
            }
            Some(Fault::HangAfter) => {
                let answer = act(&mut self.state.lock().unwrap());
                self.lifted(kind).await;
                answer
            }
            None => act(&mut self.state.lock().unwrap()),
        }
    }

    fn fault_of(&self, kind: &str) -> Option<Fault> {
        self.state.lock().unwrap().faults.get(kind).copied()
    }

    async fn lifted(&self, kind: &str) {
        let mut changes = self.changes.subscribe();
        while self.fault_of(kind).is_some() {
            changes.changed().await.unwrap();
        }
    }
}

type Shared = State<Arc<Inner>>;

fn error(code: ErrorCode, message: &str) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap();
    (status, Json(ErrorBody::new(code, message))).into_response()
}

async fn note_trace(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let trace = request.headers().get("traceparent").and_then(|trace| trace.to_str().ok());
    let trace = trace.map(str::to_owned);
    inner.state.lock().unwrap().traces.push((call, trace));
    next.run(request).await
}
