//! `/batch/run`: many tasks, each in a sandbox of its own, and how each ended.
//!
//! Every event is one write: the readers that exist lose one that is cut in two.

mod task;

use std::{
    collections::{BTreeSet, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, response::Response, routing::post};
use futures::{Stream, StreamExt, stream};
use sandbox_sdk::types::{BackendChoice, BatchRun, BatchTask, Extra, ScalingMode};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{App, DISPATCH_LIMIT, Shared, extract::Json, sse};
use crate::{
    error::ApiError,
    sandboxes::{SandboxError, Sandboxes},
};

const MAX_TASKS: usize = 100;
const MAX_ID: usize = 128;
const MAX_WARNINGS: usize = 16;
/// Time of a task that names none.
const TASK_PATIENCE_MS: u64 = 300_000;
const MAX_TASK_PATIENCE_MS: u64 = 3_600_000;
/// What a batch names when nobody has chosen: clients send it always.
const CLIENTS_DEFAULT: &str = "opencode";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/batch/run", post(run)).route("/v1/sandboxes/batch/run", post(run))
}

/// The batches under way, and the places that all their tasks share.
#[derive(Debug)]
pub(crate) struct Batches {
    under_way: TaskTracker,
    stopped: CancellationToken,
    places: Semaphore,
}

impl Batches {
    /// `most`: tasks that are worked on at once, of all batches together.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            under_way: TaskTracker::new(),
            stopped: CancellationToken::new(),
            places: Semaphore::new(most),
        }
    }

    /// Ends every task. None begins any more.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
    }

    /// Waits until nothing is left of those that were stopped.
    pub(crate) async fn ended(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

/// A client that goes away ends all of it.
async fn run(
    State(app): Shared,
    Json(batch): Json<BatchRun, DISPATCH_LIMIT>,
) -> Result<Response, ApiError> {
    let batch = Batch::check(&app, batch).await?;
    // Nothing waits for a slow reader: there is room for all there is to tell.
    let (sender, events) = mpsc::channel(batch.tasks.len() + 2);
    let stopped = app.batches.stopped.child_token();
    let events = frames(events, stopped.clone().drop_guard());
    app.batches.under_way.spawn(batch.run(app.clone(), Teller(sender), stopped));
    Ok(sse::answer(events))
}

/// A batch that can be run.
struct Batch {
    tasks: Vec<BatchTask>,
    settings: Settings,
    width: usize,
    warnings: Vec<String>,
}

/// What all tasks have in common.
struct Settings {
    id: String,
    backend: BackendChoice,
    /// The agent that the backend comes down to.
    agent: String,
    timeout_ms: u64,
    persistent: bool,
}

impl Batch {
    async fn check(app: &App, batch: BatchRun) -> Result<Self, ApiError> {
        if batch.tasks.is_empty() || batch.tasks.len() > MAX_TASKS {
            return Err(ApiError::invalid(format!("tasks must be 1 to {MAX_TASKS}")));
        }
        let mut ids = HashSet::new();
        for task in &batch.tasks {
            let plain = !task.id.is_empty() && !task.id.chars().any(char::is_control);
            if !plain || task.id.len() > MAX_ID || !ids.insert(&task.id) {
                let words = format!("the tasks' ids must differ and be 1 to {MAX_ID} plain bytes");
                return Err(ApiError::invalid(words));
            }
            if task.message.trim().is_empty() {
                return Err(ApiError::invalid("every task needs a message"));
            }
        }
        let times = batch.tasks.iter().map(|task| task.timeout_ms).chain([batch.timeout_ms]);
        if times.flatten().any(|time| time == 0 || time > MAX_TASK_PATIENCE_MS) {
            let words = format!("timeoutMs must be between 1 and {MAX_TASK_PATIENCE_MS}");
            return Err(ApiError::invalid(words));
        }
        let backend = batch.backend.unwrap_or_default();
        let passed_over = Sandboxes::check_backend(&backend)?;
        let (backend, agent) = choose(app, backend).await?;
        let (_, most) = app.sandboxes.most();
        let settings = Settings {
            id: uuid::Uuid::now_v7().to_string(),
            backend,
            agent,
            timeout_ms: batch.timeout_ms.unwrap_or(TASK_PATIENCE_MS),
            persistent: batch.persistent,
        };
        let width = width(batch.scaling_mode, most).min(batch.tasks.len());
        let extra = batch.tasks.iter().map(|task| &task.extra).chain([&batch.extra]);
        let unknown: BTreeSet<_> = extra.flat_map(Extra::keys).collect();
        let warnings = unknown.into_iter().take(MAX_WARNINGS).map(|field| {
            let field: String = field.chars().take(64).collect();
            format!("{field} is not known here and was passed over")
        });
        let warnings = warnings.chain(passed_over).collect();
        Ok(Self { tasks: batch.tasks, settings, width, warnings })
    }

    async fn run(self, app: Arc<App>, teller: Teller, stopped: CancellationToken) {
        let Self { tasks, settings, width, warnings } = self;
        let total = tasks.len();
        teller.tell(
            "batch.started",
            &json!({
                "batchId": settings.id,
                "totalTasks": total,
                "agent": settings.agent,
                "warnings": warnings,
            }),
        );
        let running =
            tasks.into_iter().map(|one| task::run(&app, &settings, one, &teller, &stopped));
        let ended = stream::iter(running).buffer_unordered(width);
        let succeeded = ended.filter(|succeeded| std::future::ready(*succeeded)).count().await;
        teller.tell(
            "batch.completed",
            &json!({
                "batchId": settings.id,
                "totalTasks": total,
                "succeeded": succeeded,
                "failed": total - succeeded,
            }),
        );
    }
}

/// How many tasks run at once, of as many as can.
fn width(mode: ScalingMode, most: usize) -> usize {
    match mode {
        ScalingMode::Fastest => most,
        ScalingMode::Balanced => most / 2,
        ScalingMode::Cheapest => 1,
    }
    .max(1)
}

/// The backend, and the agent it comes down to. One that nobody has chosen is not missed.
async fn choose(app: &App, asked: BackendChoice) -> Result<(BackendChoice, String), ApiError> {
    let problem = match app.models.choose(&asked).await {
        Ok(choice) => return Ok((asked, choice.agent)),
        Err(problem) => problem,
    };
    if asked.kind.as_deref() == Some(CLIENTS_DEFAULT) {
        let any = BackendChoice { kind: None, ..asked };
        if let Ok(choice) = app.models.choose(&any).await {
            return Ok((any, choice.agent));
        }
    }
    Err(SandboxError::NotAvailable(problem).into())
}

/// Tells the client what happens.
struct Teller(mpsc::Sender<Bytes>);

impl Teller {
    fn tell(&self, kind: &str, data: &Value) {
        // Whoever has gone needs no telling.
        self.0.try_send(Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))).ok();
    }
}

/// The guard goes with the client.
fn frames(
    events: mpsc::Receiver<Bytes>,
    guard: DropGuard,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold((events, guard), async |(mut events, guard)| {
        let frame = match timeout(sse::KEEP_ALIVE, events.recv()).await {
            Ok(frame) => frame?,
            Err(_) => Bytes::from_static(b": keep-alive\n\n"),
        };
        Some((Ok(frame), (events, guard)))
    })
}

impl Settings {
    fn patience(&self, task: &BatchTask) -> Duration {
        Duration::from_millis(task.timeout_ms.unwrap_or(self.timeout_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_says_how_many_run_at_once_and_one_always_does() {
        let widths = |most| {
            [ScalingMode::Fastest, ScalingMode::Balanced, ScalingMode::Cheapest]
                .map(|mode| width(mode, most))
        };
        assert_eq!(widths(32), [32, 16, 1]);
        assert_eq!(widths(1), [1, 1, 1]);
        assert_eq!(widths(0), [1, 1, 1]);
    }
}
