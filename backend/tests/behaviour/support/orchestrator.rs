//! An orchestrator that does what the test says, over a real socket.
//!
//! It keeps sandboxes, mappings and turn records as the real one does; turns run until the test ends
//! them. Every call is logged, and every kind of call can be made to fail or hang, before or after
//! it took effect.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use sandbox_sdk::types::{
    Abort, Aborted, AgentCatalog, BackendChoice, CreateSandbox, Dispatch, DispatchReceipt,
    ErrorBody, ErrorCode, InputPart, InteractionAnswer, InteractionRequest, Part, PartBody,
    Sandbox, SandboxStatus, SessionMapping, TextPart, TokenUsage, TurnError, TurnLimits,
    TurnRecord, TurnState,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

pub(crate) const API_KEY: &str = "orch_prod_test";
const EVENTS_OF_A_TURN: u64 = 5;

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

    /// From now on calls of this kind (`agents`, `create`, `read`, `resume`, `delete`, `map`, `dispatch`,
    /// `abort`, `record`, `waiting`, `answer`) go wrong.
    pub(crate) fn fault(&self, call: &'static str, fault: Fault) {
        self.book().faults.insert(call, fault);
    }

    /// Every call fails as if a proxy stood before a dead service.
    pub(crate) fn go_down(&self) {
        for call in [
            "agents", "create", "read", "resume", "delete", "map", "dispatch", "abort", "record",
            "waiting", "answer",
        ] {
            self.fault(call, Fault::Refuse(503));
        }
    }

    /// All calls work again; those that hang go on.
    pub(crate) fn heal(&self) {
        self.book().faults.clear();
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// New sandboxes have this status.
    pub(crate) fn sandboxes_are_born(&self, status: SandboxStatus) {
        self.book().born = Some(status);
    }

    /// From now on it says that it can run these.
    pub(crate) fn has_agents(&self, catalog: AgentCatalog) {
        self.book().catalog = Some(catalog);
    }

    pub(crate) fn set_sandboxes(&self, status: &SandboxStatus) {
        for made in self.book().sandboxes.values_mut() {
            made.status = status.clone();
        }
    }

    /// All sandboxes, sessions and records are gone.
    pub(crate) fn forget_everything(&self) {
        let mut book = self.book();
        book.sandboxes.clear();
        book.mappings.clear();
        book.turns.clear();
    }

    pub(crate) fn forget_turns(&self) {
        self.book().turns.clear();
    }

    /// How often something was called, by the beginning of its log line.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.book().log.iter().filter(|line| line.starts_with(call)).count()
    }

    /// Calls that are about sandboxes and turns.
    pub(crate) fn log(&self) -> Vec<String> {
        self.book().log.iter().filter(|line| !line.starts_with("agents")).cloned().collect()
    }

    /// The traces that calls came with, of those whose method and path begin and end so.
    pub(crate) fn traces(&self, begin: &str, end: &str) -> Vec<Option<String>> {
        let book = self.book();
        let is = |call: &str| call.starts_with(begin) && call.ends_with(end);
        let traces = book.traces.iter().filter(|(call, _)| is(call));
        traces.map(|(_, trace)| trace.clone()).collect()
    }

    pub(crate) fn sandboxes(&self) -> usize {
        self.book().sandboxes.len()
    }

    /// Turns that an agent was started for.
    pub(crate) fn runs(&self) -> usize {
        self.book().turns.len()
    }

    pub(crate) fn mapping(&self, session: &str) -> Option<SessionMapping> {
        self.book().mappings.get(session).cloned()
    }

    pub(crate) fn is_running(&self, turn: &str) -> bool {
        let book = self.book();
        let state = |t: &Turn| t.record.turn_id == turn && t.record.state == TurnState::Running;
        book.turns.values().any(state)
    }

    pub(crate) fn has(&self, turn: &str) -> bool {
        self.book().turns.keys().any(|(_, id)| id == turn)
    }

    pub(crate) fn prompt(&self, turn: &str) -> String {
        self.turn(turn).prompt
    }

    pub(crate) fn backend(&self, turn: &str) -> BackendChoice {
        self.turn(turn).backend.expect("a turn that says what to run")
    }

    pub(crate) fn limits(&self, turn: &str) -> TurnLimits {
        self.turn(turn).limits
    }

    fn turn(&self, turn: &str) -> Turn {
        let book = self.book();
        book.turns.iter().find(|((_, id), _)| id == turn).expect("a dispatched turn").1.clone()
    }

    /// What the running turn has said and used so far.
    pub(crate) fn say(&self, turn: &str, text: &str, usage: TokenUsage) {
        self.change(turn, |record| {
            record.parts = vec![Part {
                id: format!("prt_{turn}_0"),
                session_id: record.session_id.clone(),
                message_id: format!("msg_{turn}"),
                body: PartBody::Text(TextPart { text: text.to_owned(), ..Default::default() }),
            }];
            record.final_text = text.to_owned();
            record.token_usage = usage;
            record.last_seq = record.first_seq + EVENTS_OF_A_TURN - 1;
        });
    }

    /// The turn's agent asks, and waits.
    pub(crate) fn asks(&self, turn: &str, request: serde_json::Value) {
        let session = self.turn(turn).record.session_id;
        self.book().waiting.push((session, serde_json::from_value(request).unwrap()));
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn withdraws(&self) {
        self.book().waiting.clear();
    }

    /// What agents were answered.
    pub(crate) fn answers(&self) -> Vec<InteractionAnswer> {
        self.book().answers.clone()
    }

    /// The turn ends.
    pub(crate) fn end(&self, turn: &str, state: TurnState) {
        self.change(turn, |record| {
            record.state = state;
            record.ended_at = Some(record.started_at + 1500);
        });
    }

    /// The turn fails with this code.
    pub(crate) fn fail(&self, turn: &str, code: &str, message: &str) {
        self.change(turn, |record| {
            let (code, message) = (Some(code.to_owned()), message.to_owned());
            record.error = Some(TurnError { message, code, ..Default::default() });
        });
        self.end(turn, TurnState::Failed);
    }

    pub(crate) fn change(&self, turn: &str, change: impl FnOnce(&mut TurnRecord)) {
        let mut book = self.book();
        let found = book.turns.iter_mut().find(|((_, id), _)| id == turn);
        change(&mut found.expect("a dispatched turn").1.record);
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

fn sandbox(id: &str, status: &SandboxStatus) -> Sandbox {
    serde_json::from_value(json!({ "id": id, "status": status.as_str() })).unwrap()
}

async fn note_trace(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let trace = request.headers().get("traceparent").and_then(|trace| trace.to_str().ok());
    let trace = trace.map(str::to_owned);
    inner.state.lock().unwrap().traces.push((call, trace));
    next.run(request).await
}

async fn agents(State(inner): Shared, headers: HeaderMap) -> Response {
    inner
        .call("agents", "", &headers, |book| match &book.catalog {
            Some(catalog) => Json(catalog.clone()).into_response(),
            None => error(ErrorCode::NotFound, "no such path"),
        })
        .await
}

async fn create(
    State(inner): Shared,
    headers: HeaderMap,
    Json(body): Json<CreateSandbox>,
) -> Response {
    inner
        .call("create", "", &headers, |book| {
            let known = book.sandboxes.iter().find(|(_, made)| made.key == body.idempotency_key);
            if let Some((id, made)) = known {
                return Json(sandbox(id, &made.status)).into_response();
            }
            let id = format!("sandbox-{:012x}", book.log.len());
            let status = book.born.clone().unwrap_or(SandboxStatus::Running);
            let made = Made { status: status.clone(), key: body.idempotency_key };
            book.sandboxes.insert(id.clone(), made);
            (StatusCode::CREATED, Json(sandbox(&id, &status))).into_response()
        })
        .await
}

async fn read(State(inner): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    inner
        .call("read", &id, &headers, |book| match book.sandboxes.get(&id) {
            Some(made) => Json(sandbox(&id, &made.status)).into_response(),
            None => error(ErrorCode::NotFound, "no such sandbox"),
        })
        .await
}

async fn delete(State(inner): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    inner
        .call("delete", &id, &headers, |book| match book.sandboxes.remove(&id) {
            Some(_) => StatusCode::NO_CONTENT.into_response(),
            None => error(ErrorCode::NotFound, "no such sandbox"),
        })
        .await
}

async fn resume(State(inner): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    inner
        .call("resume", &id, &headers, |book| match book.sandboxes.get_mut(&id) {
            Some(made) => {
                made.status = SandboxStatus::Running;
                Json(sandbox(&id, &made.status)).into_response()
            }
            None => error(ErrorCode::NotFound, "no such sandbox"),
        })
        .await
}

async fn map(
    State(inner): Shared,
    headers: HeaderMap,
    Path(session): Path<String>,
    Json(mapping): Json<SessionMapping>,
) -> Response {
    inner
        .call("map", &session, &headers, |book| {
            if !book.sandboxes.contains_key(&mapping.sandbox_id) {
                return error(ErrorCode::NotFound, "no such sandbox");
            }
            book.mappings.insert(session.clone(), mapping);
            Json(json!({ "success": true })).into_response()
        })
        .await
}

async fn dispatch(
    State(inner): Shared,
    headers: HeaderMap,
    Path((id, session)): Path<(String, String)>,
    Json(body): Json<Dispatch>,
) -> Response {
    let what = body.turn_id.clone();
    inner
        .call("dispatch", &what, &headers, |book| {
            if !book.sandboxes.contains_key(&id) {
                return error(ErrorCode::NotFound, "no such sandbox");
            }
            let turn = (session.clone(), body.turn_id.clone());
            if let Some(known) = book.turns.get(&turn) {
                return Json(receipt(&known.record, true)).into_response();
            }
            let mut of_session = book.turns.iter().filter(|((of, _), _)| *of == session);
            let busy = of_session.find(|(_, turn)| turn.record.state == TurnState::Running);
            if let Some(((_, active), _)) = busy {
                let mut body = ErrorBody::new(ErrorCode::InvalidState, "another turn runs");
                body.extra.insert("activeExecutionId".to_owned(), json!(active));
                return (StatusCode::CONFLICT, Json(body)).into_response();
            }
            let first_seq = book.turns.len() as u64 * EVENTS_OF_A_TURN + 1;
            let record: TurnRecord = serde_json::from_value(json!({
                "sessionId": session, "turnId": body.turn_id, "state": "running", "model": "demo",
                "firstSeq": first_seq, "lastSeq": first_seq, "startedAt": 1_700_000_000_000_i64,
            }))
            .unwrap();
            let prompt = body.parts.iter().map(|part| match part {
                InputPart::Text { text } => text.as_str(),
                InputPart::Other(_) => "",
            });
            let (prompt, answer) = (prompt.collect(), receipt(&record, false));
            book.turns
                .insert(turn, Turn { record, prompt, backend: body.backend, limits: body.limits });
            (StatusCode::ACCEPTED, Json(answer)).into_response()
        })
        .await
}

fn receipt(record: &TurnRecord, already_existed: bool) -> DispatchReceipt {
    DispatchReceipt {
        session_id: record.session_id.clone(),
        turn_id: record.turn_id.clone(),
        already_existed,
        state: record.state,
        since: record.first_seq - 1,
        extra: Default::default(),
    }
}

async fn abort(
    State(inner): Shared,
    headers: HeaderMap,
    Path((_, session)): Path<(String, String)>,
    Json(body): Json<Abort>,
) -> Response {
    let what = body.turn_id.clone().unwrap_or_default();
    inner
        .call("abort", &what, &headers, |book| {
            let mut cancelled = false;
            for ((of, id), turn) in &mut book.turns {
                let meant = *of == session && body.turn_id.as_ref().is_none_or(|turn| turn == id);
                if meant && turn.record.state == TurnState::Running {
                    turn.record.state = TurnState::Aborted;
                    turn.record.ended_at = Some(turn.record.started_at + 700);
                    cancelled = true;
                }
            }
            Json(Aborted { cancelled, reason: None }).into_response()
        })
        .await
}

async fn record(
    State(inner): Shared,
    headers: HeaderMap,
    Path((id, session, turn)): Path<(String, String, String)>,
) -> Response {
    inner
        .call("record", &turn, &headers, |book| {
            let known = book.turns.get(&(session, turn.clone()));
            match known.filter(|_| book.sandboxes.contains_key(&id)) {
                Some(turn) => Json(turn.record.clone()).into_response(),
                None => error(ErrorCode::NotFound, "no such turn"),
            }
        })
        .await
}

async fn waiting(
    State(inner): Shared,
    headers: HeaderMap,
    Path((_, session)): Path<(String, String)>,
) -> Response {
    inner
        .call("waiting", &session, &headers, |book| {
            let waiting = book.waiting.iter().filter(|(of, _)| *of == session);
            let requests: Vec<_> = waiting.map(|(_, request)| request).collect();
            Json(json!({ "data": { "interactions": requests } })).into_response()
        })
        .await
}

async fn answer(
    State(inner): Shared,
    headers: HeaderMap,
    Path((_, session)): Path<(String, String)>,
    Json(answer): Json<InteractionAnswer>,
) -> Response {
    inner
        .call("answer", &answer.id.clone(), &headers, |book| {
            let known = book.answers.iter().find(|known| known.id == answer.id);
            match known {
                Some(known) if *known == answer => return Json(json!({})).into_response(),
                Some(_) => return error(ErrorCode::InvalidState, "it was answered otherwise"),
                None => {}
            }
            let asked = book.waiting.iter().find(|(of, it)| *of == session && it.id == answer.id);
            let Some((_, request)) = asked else {
                return error(ErrorCode::NotFound, "nobody waits for this");
            };
            if let Err(problem) = request.check(&answer) {
                return error(ErrorCode::Validation, &problem.to_string());
            }
            book.answers.push(answer);
            Json(json!({})).into_response()
        })
        .await
}

/// A wait for something that another task does; long enough for any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
