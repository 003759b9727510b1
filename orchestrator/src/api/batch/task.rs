//! One task of a batch: a sandbox, a turn in it, and its end.

use std::time::Duration;

use sandbox_sdk::types::{
    BatchTask, CreateSandbox, Dispatch, Extra, InputPart, TurnLimits, TurnRecord, TurnState,
    event_type,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Settings, Teller};
use crate::{
    api::App,
    error::ApiError,
    log::Life,
    sandboxes::{Lease, Order, SandboxError},
    turns::{Stop, TurnError},
};

/// Pause before another try to get a place to run.
const PLACE_PAUSE: Duration = Duration::from_secs(1);
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
    let mut retries = 0;
    let order = order(settings, &task);
    // Never given up in the middle: nobody would know what to remove.
    let made = app.sandboxes.create(order).await;
    let (id, outcome) = match made {
        Ok((made, _)) => {
            let id = made.row.id;
            let work =
                timeout(settings.patience(&task), work(app, settings, &task, &id, &mut retries));
            let worked = stopped.run_until_cancelled(work).await;
            let outcome = match worked {
                Some(Ok(outcome)) => outcome,
                Some(Err(_)) => Err(Failure::new("TURN_TIMEOUT", "The task took too long.")),
                None => Err(Failure::new("BATCH_STOPPED", "The batch was stopped.")),
            };
            end(app, settings, &id).await;
            (Some(id).filter(|_| settings.persistent), outcome)
        }
        Err(error) => (None, Err(error.into())),
    };
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut told = json!({"taskId": task.id, "durationMs": millis, "retries": retries,
        "agent": settings.agent});
    if let Some(id) = id {
        told["sandboxId"] = id.into();
    }
    let succeeded = outcome.is_ok();
    let kind = match outcome {
        Ok(record) => {
            told["tokensUsed"] = tokens(&record).into();
            told["response"] = record.final_text.into();
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
    retries: &mut u32,
) -> Result<TurnRecord, Failure> {
    // Kept until the end, so that nobody takes the place between the start and the turn.
    let _lease = place(app, id, retries).await?;
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

/// A running sandbox; one for which there is no place just now waits for one.
async fn place(app: &App, id: &str, retries: &mut u32) -> Result<Lease, SandboxError> {
    loop {
        match app.sandboxes.lease(id).await {
            Err(SandboxError::Quota { .. }) => {
                *retries += 1;
                sleep(PLACE_PAUSE).await;
            }
            leased => return leased,
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
        let page = cursor.page(PAGE, None).await?;
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
