//! Runs one turn: takes what the agent says into the log, watches time and limits, ends it once.

mod backend;
mod clock;
mod end;
mod interactions;
mod progress;

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt};
use sandbox_sdk::types::{
    BackendChoice, Event, TurnError, TurnLimits, TurnState, WriteFile, cancel_reason,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::{Instrument, Span};

use super::{
    Turns,
    ingest::Names,
    meter::Message,
    outcome::{Outcome, Stop},
};
use crate::{
    log::{LogError, SessionLog},
    models::{Choice, Opened, TurnMeter},
    sandboxes::Lease,
    sidecar::{AgentRun, ModelAccess, SidecarClient, SidecarError},
    store::{Used, token_usage},
    traces::TARGET,
};
use backend::for_agent;
use clock::Clock;
use interactions::Inquiries;
pub(super) use interactions::{InquiriesHandle, inquiries, status};
use progress::{Progress, Said, out_of_credits};

/// Time that a sandbox has to take the files of one turn.
const FILES_PATIENCE: Duration = Duration::from_secs(60);
/// Events of the agent that become one append.
const BATCH: usize = 64;
/// Time an agent has to end after it was told to.
const ABORT_GRACE: Duration = Duration::from_secs(3);
/// Time that requests to a model have to tell what they used, once their agent is silent.
const METER_GRACE: Duration = Duration::from_secs(5);
/// The same in a turn that is cut off from outside: somebody waits for its end.
const CUT_OFF_GRACE: Duration = Duration::from_millis(500);
/// Pauses between tries to write to the log.
pub(super) const RETRY: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1500),
    Duration::from_secs(5),
];

pub(super) type Stopped = watch::Receiver<Option<Stop>>;

/// A turn to run. Its row and its first event stand already.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) id: String,
    pub(super) sandbox_id: String,
    pub(super) log: Arc<SessionLog>,
    pub(super) prompt: String,
    /// What the prompt names and is not in the sandbox yet.
    pub(super) files: Vec<WriteFile>,
    pub(super) backend: Option<BackendChoice>,
    pub(super) limits: TurnLimits,
    pub(super) input_tokens: u64,
}

impl Turns {
    /// Runs the turn to its end. It ends whatever happens.
    pub(super) async fn run(
        &self,
        turn: Turn,
        choice: Choice,
        stopped: Stopped,
        inquiries: Inquiries,
    ) {
        let names = Names::new(turn.log.id(), &turn.id);
        // What a model writes is counted where it comes from.
        let most = if choice.is_metered() { Some(u64::MAX) } else { turn.limits.max_output_tokens };
        let mut progress = Progress::new(names, most, inquiries);
        let (outcome, used) =
            match self.0.models.open(&turn.sandbox_id, &turn.id, &choice, &turn.limits) {
                Ok(Opened { access, meter }) => {
                    let driven =
                        self.drive(&turn, &choice, access, meter.as_ref(), &mut progress, stopped);
                    let driven = AssertUnwindSafe(driven).catch_unwind();
                    let outcome = driven.await.unwrap_or_else(|_| {
                        Outcome::failed("INTERNAL", "The orchestrator made a mistake in this turn.")
                    });
                    self.meter(&turn, &progress.message, outcome, meter).await
                }
                Err(error) => (Outcome::because(error), Used::default()),
            };
        let traced = Span::current();
        traced.record("turn.outcome", outcome.word());
        traced.record("failed", outcome.state == TurnState::Failed);
        // Nobody can answer any more.
        drop(progress.inquiries);
        let longest = RETRY[RETRY.len() - 1];
        let pauses = RETRY.into_iter().chain(std::iter::repeat(longest));
        if let Err(error) = self.end(&turn, progress.message, outcome, used, pauses).await {
            tracing::error!(turn = turn.id, %error, "a turn's end was not written");
        }
        let mut active = self.active();
        // A next turn of the session may have begun since the last event was written.
        if active.get(turn.log.id()).is_some_and(|active| active.turn_id == turn.id) {
            active.remove(turn.log.id());
        }
    }

    /// What the turn used, and the outcome as the meter explains it. Without a model behind it, a
    /// turn's figures are counted from what was said.
    async fn meter(
        &self,
        turn: &Turn,
        message: &Message,
        outcome: Outcome,
        meter: Option<TurnMeter>,
    ) -> (Outcome, Used) {
        let Some(meter) = meter else {
            return (outcome, token_usage(turn.input_tokens, message.output_tokens()).into());
        };
        let cut_off = outcome.state == TurnState::Interrupted;
        let metered = meter.close(if cut_off { CUT_OFF_GRACE } else { METER_GRACE }).await;
        tracing::debug!(turn = turn.id, requests = metered.requests.len(), "turn metered");
        (outcome.explained_by(&metered), metered.used())
    }

    async fn drive(
        &self,
        turn: &Turn,
        choice: &Choice,
        access: Option<ModelAccess>,
        meter: Option<&TurnMeter>,
        progress: &mut Progress,
        mut stopped: Stopped,
    ) -> Outcome {
        // Of a metered turn the gateway knows better what is read.
        let metered = meter.is_some();
        if !metered && turn.limits.max_input_tokens.is_some_and(|most| turn.input_tokens > most) {
            return out_of_credits();
        }
        if let (Some(meter), Some(session)) = (meter, turn.log.key()) {
            self.save_usage(session, &turn.id, meter);
        }
        let started = tokio::select! {
            biased;
            stop = stop_of(&mut stopped) => return stop.outcome(),
            started = self.start_agent(turn, choice, access) => started,
        };
        match started {
            Ok((lease, said)) => {
                let sidecar = lease.sidecar();
                let traced = tracing::info_span!(target: TARGET, "agent.run");
                let following = self.follow(turn, progress, stopped, meter, sidecar, said);
                let outcome = following.instrument(traced).await;
                // Its time was up, say: the agent did nothing wrong.
                let cut_off = progress.broke_off && lease.is_stopping();
                if cut_off { Stop::sandbox_stopped().outcome() } else { outcome }
            }
            Err(outcome) => outcome,
        }
    }

    /// Keeps what was metered, for the case that this process does not see the turn's end.
    fn save_usage(&self, session: i64, turn_id: &str, meter: &TurnMeter) {
        let (mut usage, store, turn) = (meter.usage(), self.0.store.clone(), turn_id.to_owned());
        self.0.tasks.spawn(async move {
            // Until the turn's meter is gone.
            while usage.changed().await.is_ok() {
                let so_far = usage.borrow_and_update().clone();
                if let Err(error) = store.save_usage(session, &turn, &so_far).await {
                    tracing::warn!(turn, %error, "metered usage not saved yet");
                }
            }
        });
    }

    /// Resumes the sandbox if need be, and hands the turn to its agent with the files that come with
    /// it.
    async fn start_agent(
        &self,
        turn: &Turn,
        choice: &Choice,
        access: Option<ModelAccess>,
    ) -> Result<(Lease, impl Stream<Item = Said> + Unpin + use<>), Outcome> {
        let lease = self.0.sandboxes.lease(&turn.sandbox_id).await;
        let lease =
            lease.map_err(|error| Outcome::failed("SANDBOX_UNAVAILABLE", error.to_string()))?;
        let run = AgentRun {
            session_id: turn.log.id().to_owned(),
            turn_id: turn.id.clone(),
            message: turn.prompt.clone(),
            backend: Some(for_agent(turn.backend.as_ref(), &choice.agent)),
            model: access,
        };
        let failed = |code: &str, error: SidecarError| {
            if lease.is_stopping() {
                return Stop::sandbox_stopped().outcome();
            }
            Outcome::failed(code, error.to_string())
        };
        let writing = async {
            for file in &turn.files {
                lease.sidecar().write(file).await?;
            }
            Ok(())
        };
        let written = timeout(FILES_PATIENCE, writing).await.unwrap_or_else(|_| {
            Err(SidecarError::Unreachable("it took too long to take the files".to_owned()))
        });
        written.map_err(|error| failed("FILE_NOT_WRITTEN", error))?;
        match lease.sidecar().run_agent(&run).await {
            Ok(said) => Ok((lease, said)),
            Err(error) => Err(failed("AGENT_NOT_STARTED", error)),
        }
    }

    /// Takes what the agent says into the log until it is silent, or has to be.
    async fn follow(
        &self,
        turn: &Turn,
        progress: &mut Progress,
        mut stopped: Stopped,
        meter: Option<&TurnMeter>,
        sidecar: &SidecarClient,
        said: impl Stream<Item = Said> + Unpin,
    ) -> Outcome {
        let asked = turn.limits.max_duration_ms.map(Duration::from_millis);
        let duration = self.0.max_duration.min(asked.unwrap_or(self.0.max_duration));
        let mut clock = Clock::new(Instant::now(), duration);
        let mut said = said.ready_chunks(BATCH);
        let mut used_up = pin!(used_up(meter));
        // Set once the agent was told to end; it may still have a word until the deadline.
        let mut ending: Option<Outcome> = None;
        while progress.finished.is_none() {
            // After the agent was told to end, no person is waited for.
            clock.stand(Instant::now(), ending.is_none() && progress.waits());
            let end = tokio::select! {
                biased;
                stop = stop_of(&mut stopped), if ending.is_none() => match stop {
                    Stop::Interrupted(_) => return stop.outcome(),
                    Stop::Aborted => Ok(Some(stop.outcome())),
                },
                why = &mut used_up, if ending.is_none() => Ok(Some(Outcome::because(why))),
                () = sleep_until(clock.due()) => {
                    abort(sidecar, &turn.id).await;
                    return ending.unwrap_or_else(|| too_long(duration));
                }
                given = progress.inquiries.next() => {
                    let written = self.take_answer(turn, progress, sidecar, given).await;
                    written.map(|()| None)
                }
                chunk = said.next() => {
                    let Some(chunk) = chunk else { break };
                    let events = progress.take_chunk(turn, chunk);
                    self.decline_refused(turn, progress, sidecar);
                    let written = self.append(&turn.log, events).await;
                    written.map(|()| {
                        progress.publish();
                        progress.exceeded.take()
                    })
                }
            };
            let end = match end {
                Ok(end) => end,
                Err(error) => {
                    abort(sidecar, &turn.id).await;
                    return Outcome::failed("LOG_UNAVAILABLE", error.to_string());
                }
            };
            if let (Some(end), None) = (end, &ending) {
                let aborted = end.state == TurnState::Aborted;
                ending = Some(end);
                clock = Clock::new(Instant::now(), ABORT_GRACE);
                let over = progress.cancel_all(cancel_reason_of(aborted));
                abort(sidecar, &turn.id).await;
                if let Err(error) = self.append(&turn.log, over).await {
                    return Outcome::failed("LOG_UNAVAILABLE", error.to_string());
                }
            }
        }
        progress.broke_off = progress.finished.is_none() && ending.is_none();
        progress.outcome(ending)
    }

    /// Appends, and tries again when the disk does not take it.
    async fn append(&self, log: &Arc<SessionLog>, events: Vec<Event>) -> Result<(), LogError> {
        if events.is_empty() {
            return Ok(());
        }
        for pause in RETRY {
            match self.0.logs.append(log, events.clone(), None).await {
                Err(LogError::Store(_)) => tokio::time::sleep(pause).await,
                appended => return appended.map(drop),
            }
        }
        self.0.logs.append(log, events, None).await.map(drop)
    }
}

/// Waits until the agent may have no more of its model.
async fn used_up(meter: Option<&TurnMeter>) -> TurnError {
    match meter {
        Some(meter) => meter.used_up().await,
        None => std::future::pending().await,
    }
}

/// Waits until the turn is told to stop.
async fn stop_of(stopped: &mut Stopped) -> Stop {
    match stopped.wait_for(Option::is_some).await.map(|stop| stop.clone()) {
        Ok(Some(stop)) => stop,
        // Nobody can ask any more.
        _ => std::future::pending().await,
    }
}

/// Why what was still asked at the end is not asked any more.
fn cancel_reason_of(aborted: bool) -> &'static str {
    if aborted { cancel_reason::ABORTED } else { cancel_reason::TURN_ENDED }
}

async fn abort(sidecar: &SidecarClient, turn_id: &str) {
    let aborted = tokio::time::timeout(ABORT_GRACE, sidecar.abort(turn_id)).await;
    if !matches!(aborted, Ok(Ok(_))) {
        tracing::warn!(turn = turn_id, "the sandbox did not answer to an abort");
    }
}

fn too_long(most: Duration) -> Outcome {
    let most = match most.subsec_millis() {
        0 => format!("{} s", most.as_secs()),
        _ => format!("{} ms", most.as_millis()),
    };
    Outcome::failed("TURN_TIMEOUT", format!("The turn took longer than {most}."))
}
