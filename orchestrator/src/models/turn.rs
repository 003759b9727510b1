//! One turn at the gateway: what its agent may ask for, what it has used, and what went wrong.

mod meter;
mod record;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sandbox_sdk::types::{Extra, TurnError, TurnLimits, WireFormat};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Span, field::Empty};

use super::{
    ChosenModel,
    budget::{Admission, Budget, Refusal, Reservation, Wanted},
    provider::PROVIDERS,
    usage::Usage,
};
use crate::{store::Used, traces::TARGET};
pub(crate) use meter::TurnMeter;
pub(crate) use record::Metered;
use record::{RequestRecord, used};

/// A turn whose agent may use the gateway.
#[derive(Debug)]
pub(super) struct OpenTurn {
    pub(super) sandbox_id: String,
    pub(super) turn_id: String,
    pub(super) model: ChosenModel,
    state: Mutex<State>,
    /// A request has ended, and what it had set aside is free.
    freed: Notify,
    used_up: watch::Sender<Option<TurnError>>,
    usage: watch::Sender<Used>,
    /// No new requests.
    pub(super) closed: CancellationToken,
    /// Requests under way end at once.
    pub(super) cut: CancellationToken,
    pub(super) exchanges: TaskTracker,
    /// The turn in traces: its requests come from elsewhere.
    traced: Span,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    /// Of all requests that went out, in that order.
    records: Vec<RequestRecord>,
    problem: Option<TurnError>,
    /// A provider failed, and so much was set aside for what it may bill that the budget shows it.
    lost_to_provider: bool,
}

/// A request that may go out.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) reservation: Reservation,
    /// What it probably reads, should nobody tell.
    pub(super) expected: Usage,
    /// Its place among the turn's.
    number: usize,
    started: Instant,
    traced: Span,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metering {
    pub(super) status: u16,
    pub(super) usage: Usage,
    pub(super) estimated: bool,
    pub(super) complete: bool,
    pub(super) heard: Heard,
}

/// How much of what a provider will bill is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All of it, or so much that the rest does not matter.
    All,
    /// What it has read. It may write more than what was heard of.
    Read,
    Nothing,
}

/// Why a request did not go out.
#[derive(Debug)]
pub(super) enum Denied {
    /// The turn is over.
    Closed,
    /// Nothing more can be paid.
    UsedUp(TurnError),
}

impl OpenTurn {
    pub(super) fn new(
        sandbox_id: &str,
        turn_id: &str,
        model: ChosenModel,
        limits: TurnLimits,
        max_requests: u32,
    ) -> Self {
        let state = State {
            budget: Budget::new(limits, max_requests),
            records: Vec::new(),
            problem: None,
            lost_to_provider: false,
        };
        Self {
            sandbox_id: sandbox_id.to_owned(),
            turn_id: turn_id.to_owned(),
            model,
            state: Mutex::new(state),
            freed: Notify::new(),
            used_up: watch::Sender::new(None),
            usage: watch::Sender::default(),
            closed: CancellationToken::new(),
            cut: CancellationToken::new(),
            exchanges: TaskTracker::new(),
            traced: Span::current(),
        }
    }

    /// Waits until the request may go out. It may wait for the pace, and for others to end.
    pub(super) async fn admit(
        &self,
        wanted: &Wanted,
        format: WireFormat,
    ) -> Result<Admitted, Denied> {
        let reservation = self.wait(|budget, now| budget.admit(wanted, now)).await?;
        let expected = reservation.expected(wanted.usual);
        let mut state = self.state();
        let number = state.records.len();
        state.records.push(RequestRecord::begun(&self.model, format, expected));
        self.publish(&state);
        let traced = self.traced();
        Ok(Admitted { reservation, expected, number, started: Instant::now(), traced })
    }

    /// A request of the turn in traces. Providers and models that a caller brought with it are named
    /// as the caller likes.
    fn traced(&self) -> Span {
        let provider = PROVIDERS.into_iter().find(|known| *known == self.model.provider.id);
        tracing::info_span!(
            target: TARGET,
            parent: &self.traced,
            "model.request",
            gen_ai.provider.name = provider.unwrap_or("other"),
            gen_ai.request.model = self.model.id,
            http.response.status_code = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            failed = Empty,
        )
    }

    /// The same for a count of tokens.
    pub(super) async fn admit_count(&self) -> Result<(), Denied> {
        self.wait(Budget::admit_count).await.map(drop)
    }

    async fn wait(
        &self,
        ask: impl Fn(&mut Budget, Instant) -> Admission,
    ) -> Result<Reservation, Denied> {
        loop {
            if let Some(why) = self.used_up.borrow().clone() {
                return Err(Denied::UsedUp(why));
            }
            if self.closed.is_cancelled() {
                return Err(Denied::Closed);
            }
            // Waited for before it is asked, so that an end in between is not missed.
            let freed = self.freed.notified();
            let admission = ask(&mut self.state().budget, Instant::now());
            let again = match admission {
                Admission::Go(reservation) => return Ok(reservation),
                Admission::No(refusal) => return Err(Denied::UsedUp(self.use_up(refusal))),
                Admission::At(at) => Some(tokio::time::Instant::from_std(at)),
                Admission::WhenOthersEnd => None,
            };
            let slot = async move {
                match again {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => freed.await,
                }
            };
            tokio::select! {
                () = slot => {}
                () = self.closed.cancelled() => {}
            }
        }
    }

    /// Remembers why nothing more goes out. The first reason counts.
    fn use_up(&self, refusal: Refusal) -> TurnError {
        let (code, message) = match refusal {
            Refusal::UsedUp => {
                ("OUT_OF_CREDITS", "The turn used up what was set aside for it.".to_owned())
            }
            Refusal::TooManyRequests(most) => (
                "MODEL_REQUEST_LIMIT",
                format!("The agent has asked its model {most} times, the most in one turn."),
            ),
            Refusal::Identical => (
                "MODEL_REQUEST_LIMIT",
                "The agent asked its model the same thing over and over.".to_owned(),
            ),
        };
        // It asked again because the provider failed: that is what went wrong.
        let why = {
            let state = self.state();
            let failed = refusal != Refusal::UsedUp || state.lost_to_provider;
            state.problem.clone().filter(|_| failed)
        };
        let why = why.unwrap_or_else(|| turn_error(code, message));
        let mut first = why.clone();
        self.used_up.send_modify(|known| first = known.get_or_insert(why).clone());
        first
    }

    /// Takes what became of a request that has ended.
    pub(super) fn settle(
        &self,
        admitted: &Admitted,
        metering: Metering,
        problem: Option<TurnError>,
    ) {
        let Metering { status, usage, estimated, complete, heard } = metering;
        let elapsed = admitted.started.elapsed().as_millis();
        let duration_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        tracing::info!(
            turn = self.turn_id,
            model = self.model.name(),
            status,
            input = usage.input,
            cache_read = usage.cache_read,
            cache_write = usage.cache_write,
            output = usage.output,
            estimated,
            complete,
            ms = duration_ms,
            "model request"
        );
        let traced = &admitted.traced;
        traced.record("http.response.status_code", status);
        traced.record("gen_ai.usage.input_tokens", usage.input);
        traced.record("gen_ai.usage.output_tokens", usage.output);
        traced.record("failed", !complete || !(200..300).contains(&status));
        let mut state = self.state();
        // People are billed for what was heard, for nobody can show them the rest. The budget bounds what
        // the provider may bill, heard or not.
        let clamped = match heard {
            Heard::All => state.budget.settle(&admitted.reservation, &usage),
            Heard::Read | Heard::Nothing => {
                let read = (heard == Heard::Read).then_some(&usage);
                state.budget.forfeit(&admitted.reservation, read);
                // An answer that was begun and not read to its end is more likely the agent's doing.
                let begun = (200..300).contains(&status);
                state.lost_to_provider |= problem.is_some() && !begun;
                false
            }
        };
        if !estimated {
            // The provider's cache is as old as the request.
            state.budget.learn(&admitted.reservation, &usage, admitted.started);
        }
        state.problem = problem;
        if let Some(record) = state.records.get_mut(admitted.number) {
            (record.status, record.usage) = (status, usage);
            (record.estimated, record.complete) = (estimated, complete);
            record.duration_ms = duration_ms;
        }
        self.publish(&state);
        drop(state);
        if clamped {
            self.use_up(Refusal::UsedUp);
        }
        self.freed.notify_waiters();
    }

    /// Tells what is used so far. With the state in hand, so that nothing older comes later.
    fn publish(&self, state: &State) {
        self.usage.send_replace(used(&state.records));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn turn_error(code: &str, message: impl Into<String>) -> TurnError {
    TurnError { message: message.into(), code: Some(code.to_owned()), extra: Extra::new() }
}

#[cfg(test)]
mod tests;
