//! Processes as the runtime API has them.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::Body as HttpBody,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use futures::stream;
use sandbox_sdk::types::{ProcessInfo, ProcessResult, RunCode, SignalProcess, SpawnProcess};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    super::{
        api::{Known, Problem, Services},
        events::{KEEP_ALIVE, QUIET},
        message::DataEnvelope,
        signal,
    },
    log::{Entry, Record, Source},
    process::Process,
};
use crate::{
    flaw::Flaw,
    unread::{self, Warned},
};

pub(in crate::sidecar) fn routes() -> Router<Services> {
    Router::new()
        .route("/process", get(list))
        .route("/process/spawn", post(spawn))
        .route("/process/run-code", post(run_code))
        .route("/process/{pid}", get(read).delete(end))
        .route("/process/{pid}/logs", get(logs))
}

type Envelope<T> = Json<DataEnvelope<T>>;

fn enveloped<T>(data: T) -> Envelope<T> {
    Json(DataEnvelope { success: true, data })
}

/// A process that goes on, or the result of one.
#[derive(Serialize)]
#[serde(untagged)]
enum Started {
    On { pid: i32 },
    Ended(ProcessResult),
}

async fn spawn(
    State(services): State<Services>,
    Known(wanted, unread): Known<SpawnProcess>,
) -> Result<Envelope<Warned<Started>>, Problem> {
    let blocking = wanted.blocking;
    let process = services.processes.spawn(wanted).await?;
    let answer = answer(process, blocking).await;
    Ok(enveloped(Warned { answer, warnings: unread::warnings(&unread) }))
}

async fn run_code(
    State(services): State<Services>,
    Known(wanted, unread): Known<RunCode>,
) -> Result<Envelope<Warned<Started>>, Problem> {
    let blocking = wanted.blocking.unwrap_or(true);
    let process = services.processes.run_code(wanted).await?;
    let answer = answer(process, blocking).await;
    Ok(enveloped(Warned { answer, warnings: unread::warnings(&unread) }))
}

async fn answer(process: Arc<Process>, blocking: bool) -> Started {
    if !blocking {
        return Started::On { pid: process.pid };
    }
    let awaited = Awaited(process);
    Started::Ended(awaited.0.result().await)
}

/// Ends with whoever waits for it.
struct Awaited(Arc<Process>);

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.0.is_running() {
            self.0.send(rustix::process::Signal::KILL, true);
        }
    }
}

async fn list(State(services): State<Services>) -> Envelope<Vec<ProcessInfo>> {
    enveloped(services.processes.list())
}

async fn read(
    State(services): State<Services>,
    Path(pid): Path<i32>,
) -> Result<Envelope<ProcessInfo>, Problem> {
    Ok(enveloped(services.processes.find(pid)?.info()))
}

async fn end(
    State(services): State<Services>,
    Path(pid): Path<i32>,
    body: Bytes,
) -> Result<Envelope<Value>, Problem> {
    let wanted: SignalProcess = if body.is_empty() {
        SignalProcess::default()
    } else {
        Flaw::read(&body).map_err(|flaw| Problem::flawed("body", &flaw))?
    };
    let process = services.processes.find(pid)?;
    let signal = wanted.signal.unwrap_or_else(|| "SIGTERM".into());
    let signal = signal::named(&signal).ok_or_else(|| {
        let words = "must be the name of a signal, such as SIGTERM, SIGINT or SIGKILL";
        Problem::flawed("body", &Flaw::new("signal", words))
    })?;
    // Clients end what may just have ended by itself: that is no mistake of theirs.
    let signalled = process.send(signal, wanted.tree.unwrap_or(true));
    Ok(enveloped(json!({"pid": pid, "signalled": signalled})))
}

#[derive(Deserialize)]
struct Since {
    /// The id of the last event that the reader has.
    #[serde(default)]
    since: u64,
}

/// What it writes as server-sent events: what is kept after `since`, then what comes, to its end.
async fn logs(
    State(services): State<Services>,
    Path(pid): Path<i32>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Since { since }) = since?;
    let process = services.processes.find(pid)?;
    let news = process.log.news();
    let start = (process, news, since, false);
    let frames = stream::unfold(start, |(process, mut news, mut since, over)| async move {
        if over {
            return None;
        }
        loop {
            let next = process.log.after(since);
            if next.dropped > 0 {
                since += next.dropped;
                let data = json!({"dropped": next.dropped});
                let told = frame("truncated", since, &data);
                return Some((Ok::<_, Infallible>(told), (process, news, since, false)));
            }
            if let Some(record) = next.record {
                return Some((Ok(told(&record)), (process, news, record.id, next.last)));
            }
            if next.last {
                return None;
            }
            match timeout(QUIET, news.changed()).await {
                Err(_) => return Some((Ok(KEEP_ALIVE), (process, news, since, false))),
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
            }
        }
    });
    let mut response = Response::new(HttpBody::from_stream(frames));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn told(record: &Record) -> Bytes {
    let timestamp = record.at;
    let (kind, data) = match &record.entry {
        Entry::Text { source, text } => {
            let kind = if *source == Source::Stdout { "stdout" } else { "stderr" };
            (kind, json!({"data": text, "timestamp": timestamp}))
        }
        Entry::Exit(code) => {
            let signal = signal::of_exit(*code);
            ("exit", json!({"exitCode": code, "exitSignal": signal, "timestamp": timestamp}))
        }
    };
    frame(kind, record.id, &data)
}

/// One piece of the body, so that it goes out in one write.
fn frame(kind: &str, id: u64, data: &Value) -> Bytes {
    Bytes::from(format!("event: {kind}\nid: {id}\ndata: {data}\n\n"))
}
