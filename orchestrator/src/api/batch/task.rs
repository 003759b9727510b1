//! One task of a batch: a sandbox, a turn in it, and its end.

use std::time::Duration;

use sandbox_sdk::types::{
    BatchTask, CreateSandbox, Dispatch, Extra, InputPart, TurnLimits, TurnRecord, TurnState,
    event_type,
};
use serde_json::{Value, json};
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Settings, Teller};
use crate::{
    api::App,
    error::ApiError,
    log::{Life, Page},
    sandboxes::{Lease, Order, SandboxError},
    turns::{Stop, TurnError, shorten},
};

/// Longest answer that is told, in bytes.
const MAX_RESPONSE: usize = 256 * 1024;
/// Pause before another look whether there is room to run.
const ROOM_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of events that are looked at together.
const PAGE: usize = 64 * 1024;

/// Why a task failed: words for people, and a code where there is one.
struct Failure {
    message: String,
    code: Option<String>,
}

impl Failure {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Some(code.to_owned()) }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::new("SANDBOX_UNAVAILABLE", error.to_string())
    }
}

impl From<TurnError> for Failure {
    fn from(error: TurnError) -> Self {
        Self::new("AGENT_NOT_STARTED", error.to_string())
    }
}

/// Runs a task to its end, tells how it ended, and removes its sandbox. Whether it succeeded.
pub(super) async fn run(
    app: &App,
    settings: &Settings,
    task: BatchTask,
    teller: &Teller,
    stopped: &CancellationToken,
) -> bool {
    if stopped.is_cancelled() {
        return false;
    }
    let begun = Instant::now();
    let due = begun + settings.patience(&task);
    let (sandbox, outcome) = attempt(app, settings, &task, due, stopped).await;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    // A task is tried once; clients expect the figure.
    let mut told = json!({"taskId": task.id, "durationMs": millis, "retries": 0,
        "agent": settings.agent});
    if let Some(id) = sandbox {
        told["sandboxId"] = id.into();
    }
    let succeeded = outcome.is_ok();
    let kind = match outcome {
        Ok(record) => {
            add_answer(&mut told, record);
            "task.completed"
        }
        Err(failure) => {
            told["error"] = failure.message.into();
            told["code"] = failure.code.map_or(Value::Null, Value::from);
            "task.failed"
        }
    };
    teller.tell(kind, &told);
    succeeded
}

/// How the task ended, and its sandbox if that stays.
async fn attempt(
    app: &App,
    settings: &Settings,
    task: &BatchTask,
    due: Instant,
    stopped: &CancellationToken,
) -> (Option<String>, Result<TurnRecord, Failure>) {
    // Kept until nothing is left to do: no batch makes more sandboxes than can run.
    let _place = match until(due, stopped, place(app)).await {
        Ok(place) => place,
        Err(failure) => return (None, Err(failure)),
    };
    // Never given up in the middle: nobody would know what to remove.
    let id = match app.sandboxes.create(order(settings, task)).await {
        Ok((made, _)) => made.row.id,
        Err(error) => return (None, Err(error.into())),
    };
    let outcome = until(due, stopped, work(app, settings, task, &id)).await;
    end(app, settings, &id).await;
    (Some(id).filter(|_| settings.persistent), outcome)
}

/// What comes of it before the task's time is up or its batch is stopped.
async fn until<T>(
    due: Instant,
    stopped: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match stopped.run_until_cancelled(timeout_at(due, work)).await {
        Some(Ok(done)) => done,
        Some(Err(_)) => Err(Failure::new("TURN_TIMEOUT", "The task took too long.")),
        None => Err(Failure::new("BATCH_STOPPED", "The batch was stopped.")),
    }
}

/// A place among the tasks of all batches.
async fn place(app: &App) -> Result<SemaphorePermit<'_>, Failure> {
    let place = app.batches.places.acquire().await;
    place.map_err(|_| Failure::new("BATCH_STOPPED", "The batch was stopped."))
}

fn order(settings: &Settings, task: &BatchTask) -> Order {
    let request = CreateSandbox {
        metadata: Some(json!({"batchId": settings.id, "taskId": task.id})),
        ..CreateSandbox::default()
    };
    Order { id: None, request, ephemeral: !settings.persistent }
}

async fn work(
    app: &App,
    settings: &Settings,
    task: &BatchTask,
    id: &str,
) -> Result<TurnRecord, Failure> {
    // Kept until the end, so that nobody takes its room between the start and the turn.
    let _lease = lease(app, id).await?;
    let session = format!("batch:{}", uuid::Uuid::now_v7());
    let receipt = app.turns.dispatch(id, &session, dispatch(settings, task)).await?;
    let broken = |error: ApiError| {
        tracing::error!(?error, "a batch's turn was lost from sight");
        Failure::new("INTERNAL", "The orchestrator lost sight of this task.")
    };
    ended(app, &session, receipt.since).await.map_err(broken)?;
    let record = app.turns.record(&session, &receipt.turn_id).await?;
    match record.state {
        TurnState::Completed => Ok(record),
        state => Err(match record.error {
            Some(error) => Failure { message: error.message, code: error.code },
            None => Failure::new("TURN_ENDED", format!("The turn ended as {state:?}.")),
        }),
    }
}

/// The sandbox, running; one for which there is no room just now waits for some.
async fn lease(app: &App, id: &str) -> Result<Lease, SandboxError> {
    loop {
        match app.sandboxes.lease(id).await {
            Err(SandboxError::NoRoom(_)) => {}
            leased => return leased,
        }
        // A try that fails is a warning in the log and a row that is written.
        loop {
            sleep(ROOM_PAUSE).await;
            if app.sandboxes.can_run(id) {
                break;
            }
        }
    }
}

fn dispatch(settings: &Settings, task: &BatchTask) -> Dispatch {
    let context = task.context.as_ref().filter(|context| !context.is_null());
    let context = context.map(|context| format!("Context:\n{context:#}"));
    let texts = [Some(task.message.clone()), context].into_iter().flatten();
    let patience = settings.patience(task).as_millis();
    Dispatch {
        turn_id: uuid::Uuid::now_v7().to_string(),
        parts: texts.map(|text| InputPart::Text { text }).collect(),
        backend: Some(settings.backend.clone()),
        limits: TurnLimits {
            max_duration_ms: u64::try_from(patience).ok(),
            ..TurnLimits::default()
        },
        extra: Extra::new(),
    }
}

/// Waits for the end of the one turn of a session.
async fn ended(app: &App, session: &str, since: u64) -> Result<(), ApiError> {
    let log = app.logs.session(session).await?;
    let mut cursor = app.logs.cursor(log, since);
    loop {
        let page = match cursor.page(PAGE, None).await? {
            Page::Events(events) => events,
            // Never of a turn that runs. What is left tells.
            Page::Cut { .. } => continue,
        };
        if page.iter().any(|event| &*event.kind == event_type::DONE) {
            return Ok(());
        }
        if page.is_empty() {
            if cursor.head().life == Life::Deleted {
                return Err(ApiError::not_found("session", session));
            }
            cursor.changed().await;
        }
    }
}

/// Nothing of a task goes on after it. Its sandbox stays only where that was asked for.
async fn end(app: &App, settings: &Settings, id: &str) {
    if settings.persistent {
        let stop = Stop::interrupted("BATCH_STOPPED", "The batch was stopped.");
        app.turns.stop_sandbox(id, stop).await;
    } else if let Err(error) = app.delete_sandbox(id).await {
        tracing::error!(sandbox = id, ?error, "the sandbox of a task could not be removed");
    }
}

fn tokens(record: &TurnRecord) -> u64 {
    let usage = &record.token_usage;
    usage.total_tokens.unwrap_or_else(|| usage.input_tokens.saturating_add(usage.output_tokens))
}

/// Adds the answer, or the beginning of one that is too long to be told.
fn add_answer(told: &mut Value, mut record: TurnRecord) {
    told["tokensUsed"] = tokens(&record).into();
    if record.final_text.len() > MAX_RESPONSE {
        shorten(&mut record.final_text, MAX_RESPONSE);
        told["truncated"] = true.into();
    }
    told["response"] = record.final_text.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Value {
        let record = json!({"sessionId": "s", "turnId": "t", "state": "completed",
            "finalText": answer, "tokenUsage": {"inputTokens": 1, "outputTokens": 2}});
        let mut told = json!({});
        add_answer(&mut told, serde_json::from_value(record).unwrap());
        told
    }

    #[test]
    fn a_long_answer_is_told_as_far_as_it_goes_and_says_so() {
        let whole = told("short");
        assert_eq!(whole, json!({"tokensUsed": 3, "response": "short"}));
        let cut = told(&"ä".repeat(MAX_RESPONSE));
        let response = cut["response"].as_str().unwrap();
        assert!(response.len() < MAX_RESPONSE + 64, "{}", response.len());
        assert!(response.starts_with("ää") && response.ends_with("more bytes)"));
        assert_eq!(cut["truncated"], true);
    }
}
