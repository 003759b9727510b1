//! Turns: one request to the agent of a session, from its dispatch to its one terminal event.
//!
//! A turn is a row first and a task then. The row, the turn's first event and later its last ones
//! each come in one transaction, so that a turn never runs twice and never ends twice, whatever
//! process dies in between.

mod answers;
mod asked;
mod claim;
mod ingest;
mod lookup;
mod meter;
mod outcome;
mod posture;
mod recovery;
mod runner;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sandbox_sdk::types::{Aborted, Dispatch, DispatchReceipt, InvalidAnswer, TurnError as Problem};
use tokio::sync::{broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, field::Empty};

use crate::{
    log::{EventLog, LogError},
    models::{Choice, ModelGateway},
    sandboxes::{SandboxError, Sandboxes},
    sidecar::SidecarError,
    store::{Store, StoreError},
    traces::TARGET,
    webhook::Webhooks,
};
use asked::Asked;
use meter::prompt_tokens;
use posture::Posture;
use runner::{InquiriesHandle, Turn, inquiries};

pub(crate) use ingest::shorten;
pub(crate) use lookup::Begun;
#[cfg(test)]
pub(crate) use outcome::tests::last_events_of;
pub(crate) use outcome::{Stop, ending_of};
pub(crate) use posture::FIELD as INTERACTIONS;

/// Pauses while a turn that has begun waits for its runner.
const ABORT_PAUSES: [Duration; 6] = [Duration::from_millis(20); 6];

/// Longest wait for turns that are cut off. They have to meter and to write what they used.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// All turns of an orchestrator. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    logs: EventLog,
    sandboxes: Sandboxes,
    models: ModelGateway,
    webhooks: Webhooks,
    max_duration: Duration,
    /// Running turns by session.
    active: Mutex<HashMap<String, Active>>,
    /// Told of each once it can be found among them.
    begun: broadcast::Sender<Begun>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Active {
    turn_id: String,
    sandbox_id: String,
    /// Number of the event before the turn's first.
    since: u64,
    stop: watch::Sender<Option<Stop>>,
    inquiries: InquiriesHandle,
    /// Cancelled once the turn's last event stands in the log.
    ended: CancellationToken,
}

/// Why a turn can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    #[error("{0}")]
    Invalid(String),
    /// No turn can be run with what was asked for.
    #[error("{}", .0.message)]
    NotAvailable(Problem),
    #[error("another turn runs in this session")]
    Busy { turn_id: String },
    #[error("a session of this id runs in another sandbox: choose another id")]
    OtherSandbox,
    #[error("another session of the sandbox has a turn of this id: choose another id")]
    OtherSession,
    #[error("there is no such {kind}")]
    NotFound { kind: &'static str, id: String },
    #[error("{0}")]
    InvalidAnswer(InvalidAnswer),
    #[error("nobody waits for this answer any more")]
    NobodyWaits,
    #[error("this was answered otherwise already")]
    AnsweredOtherwise,
    #[error("the orchestrator is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl TurnError {
    fn missing(kind: &'static str, id: &str) -> Self {
        Self::NotFound { kind, id: id.to_owned() }
    }
}

impl Turns {
    pub(crate) fn new(
        store: Store,
        logs: EventLog,
        sandboxes: Sandboxes,
        models: ModelGateway,
        webhooks: Webhooks,
        max_duration: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            logs,
            sandboxes,
            models,
            webhooks,
            max_duration,
            active: Mutex::default(),
            begun: broadcast::Sender::new(lookup::BEGUN_AHEAD),
            tasks: TaskTracker::new(),
        }))
    }

    /// Starts a turn in the background. A turn id that is known already is looked up.
    pub(crate) async fn dispatch(
        &self,
        sandbox_id: &str,
        session_id: &str,
        mut dispatch: Dispatch,
    ) -> Result<DispatchReceipt, TurnError> {
        let asked = check(session_id, &dispatch)?;
        dispatch.backend = self.0.sandboxes.backend(sandbox_id, dispatch.backend)?;
        let choice = match self.choose(dispatch.backend.as_ref()).await {
            Ok(choice) => choice,
            // A turn that runs or has run is known, whatever is available now.
            Err(problem) => {
                let known = self.known(sandbox_id, session_id, &dispatch.turn_id).await?;
                return known.ok_or(problem);
            }
        };
        let turns = self.clone();
        let (sandbox_id, session_id) = (sandbox_id.to_owned(), session_id.to_owned());
        // In a task of its own: a caller that goes away must not leave a row without a runner.
        let begun =
            async move { turns.begin(sandbox_id, session_id, dispatch, asked, choice).await };
        let begun = self.0.tasks.spawn(begun.in_current_span());
        begun.await.unwrap_or(Err(TurnError::ShuttingDown))
    }

    async fn begin(
        &self,
        sandbox_id: String,
        session_id: String,
        dispatch: Dispatch,
        asked: Asked,
        choice: Choice,
    ) -> Result<DispatchReceipt, TurnError> {
        if self.0.tasks.is_closed() {
            return Err(TurnError::ShuttingDown);
        }
        self.check_turn_id(&sandbox_id, &session_id, &dispatch.turn_id).await?;
        let row = self.0.store.open_session(&session_id, &sandbox_id).await?;
        if row.sandbox_id != sandbox_id {
            return Err(TurnError::OtherSandbox);
        }
        let log = self.0.logs.known_session(&row).await?;
        let Dispatch { turn_id, backend, limits, .. } = dispatch;
        let Asked { prompt, files, posture } = asked;
        let input_tokens = if choice.is_metered() { 0 } else { prompt_tokens(&prompt) };
        let receipt = self.claim(&log, &turn_id, &choice, &prompt, input_tokens).await?;
        if receipt.already_existed {
            return Ok(receipt);
        }
        let (stop, stopped) = watch::channel(None);
        let (inquiries, handle) = inquiries(posture);
        let ended = CancellationToken::new();
        let active = Active {
            turn_id: turn_id.clone(),
            sandbox_id: sandbox_id.clone(),
            since: receipt.since,
            stop,
            inquiries: handle,
            ended: ended.clone(),
        };
        if self.0.tasks.is_closed() {
            // The shutdown has asked all others already.
            active.ask(&Stop::shutdown());
        }
        let begun = active.begun(&session_id);
        self.active().insert(session_id, active);
        // There may be nobody who wants to know.
        self.0.begun.send(begun).ok();
        let turn =
            Turn { id: turn_id, sandbox_id, log, prompt, files, backend, limits, input_tokens };
        let turns = self.clone();
        let traced = tracing::info_span!(
            target: TARGET,
            "turn",
            sandbox.id = turn.sandbox_id,
            turn.id = turn.id,
            turn.agent = choice.agent,
            turn.outcome = Empty,
            failed = Empty,
        );
        let run = async move {
            turns.run(turn, choice, stopped, inquiries).await;
            ended.cancel();
        };
        self.0.tasks.spawn(run.instrument(traced));
        Ok(receipt)
    }

    /// Asks the running turn of a session to stop. What it said until then stands.
    pub(crate) async fn abort(
        &self,
        session_id: &str,
        turn_id: Option<&str>,
    ) -> Result<Aborted, TurnError> {
        // A turn stands in the database a moment before its runner can be asked.
        for pause in ABORT_PAUSES {
            if self.ask(session_id, turn_id, &Stop::Aborted) {
                return Ok(Aborted { cancelled: true, reason: None });
            }
            if !self.0.store.is_running(session_id, turn_id).await? {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Ok(Aborted { cancelled: false, reason: Some("not running".to_owned()) })
    }

    fn ask(&self, session_id: &str, turn_id: Option<&str>, reason: &Stop) -> bool {
        let active = self.active();
        let running = active.get(session_id);
        let running = running.filter(|active| turn_id.is_none_or(|id| id == active.turn_id));
        // The first reason counts.
        running
            .inspect(|active| {
                active.stop.send_if_modified(|stop| {
                    let first = stop.is_none();
                    if first {
                        *stop = Some(reason.clone());
                    }
                    first
                });
            })
            .is_some()
    }

    /// Ends all turns of a sandbox for the given reason and waits, not for ever, until they have.
    pub(crate) async fn stop_sandbox(&self, sandbox_id: &str, stop: Stop) {
        let ended: Vec<_> = {
            let active = self.active();
            let of_sandbox = active.values().filter(|active| active.sandbox_id == sandbox_id);
            of_sandbox.map(|active| active.ask(&stop)).collect()
        };
        let all = futures::future::join_all(ended.iter().map(CancellationToken::cancelled));
        // What does not end in time ends with the sandbox.
        drop(tokio::time::timeout(STOP_PATIENCE, all).await);
    }

    /// How many turns run.
    pub(crate) fn running(&self) -> usize {
        self.active().len()
    }

    /// Ends every turn; none starts any more.
    pub(crate) async fn shutdown(&self, grace: Duration) {
        self.0.tasks.close();
        for active in self.active().values() {
            active.ask(&Stop::shutdown());
        }
        if tokio::time::timeout(grace, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("turns still running at shutdown; the next start will end them");
        }
    }

    fn active(&self) -> MutexGuard<'_, HashMap<String, Active>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn ask(&self, stop: &Stop) -> CancellationToken {
        self.stop.send_replace(Some(stop.clone()));
        self.ended.clone()
    }
}

/// Refuses what can't be run.
fn check(session_id: &str, dispatch: &Dispatch) -> Result<Asked, TurnError> {
    let invalid = |message: String| Err(TurnError::Invalid(message));
    if !is_id(session_id, 128) {
        return invalid("the session id must be 1 to 128 characters of [A-Za-z0-9:_-]".to_owned());
    }
    if !is_id(&dispatch.turn_id, 160) {
        return invalid("turnId must be 1 to 160 characters of [A-Za-z0-9:_-]".to_owned());
    }
    let posture = Posture::read(&dispatch.extra)?;
    let asked = Asked::read(&dispatch.turn_id, &dispatch.parts)?;
    Ok(Asked { posture, ..asked })
}

/// Whether the text is an id as sessions and turns have them.
pub(crate) fn is_id(text: &str, max: usize) -> bool {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
    !text.is_empty() && text.len() <= max && text.chars().all(named)
}
