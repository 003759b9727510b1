//! One turn at the gateway: what its agent may ask for, what it has used, and what went wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sandbox_sdk::types::{Extra, MeteredRequest, TokenUsage, TurnError, TurnLimits, WireFormat};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ChosenModel, ModelGateway,
    budget::{Admission, Budget, Refusal, Reservation, Wanted},
    usage::Usage,
};
use crate::{clock::now_ms, store::Used};

/// After the grace: what is cut off settles at once.
const SETTLING: Duration = Duration::from_secs(2);

/// One request to a model, as it was metered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestRecord {
    /// When it went out, in milliseconds since the Unix epoch.
    pub(crate) at: i64,
    /// As `provider/model`.
    pub(crate) model: String,
    pub(crate) format: WireFormat,
    /// What the provider answered; 0: nothing.
    pub(crate) status: u16,
    pub(crate) usage: Usage,
    /// The provider did not tell what it used: counted from what passed.
    pub(crate) estimated: bool,
    /// The answer came to its end.
    pub(crate) complete: bool,
    pub(crate) duration_ms: u64,
}

impl RequestRecord {
    /// Of a request that goes out. Should this process end, nobody will know better than that it was
    /// read.
    fn begun(model: &ChosenModel, format: WireFormat, read: Usage) -> Self {
        Self {
            at: now_ms(),
            model: model.name(),
            format,
            status: 0,
            usage: read,
            estimated: true,
            complete: false,
            duration_ms: 0,
        }
    }

    fn to_wire(&self) -> MeteredRequest {
        MeteredRequest {
            at: self.at,
            model: self.model.clone(),
            format: self.format,
            status: self.status,
            token_usage: self.usage.to_wire(),
            estimated: self.estimated,
            complete: self.complete,
            duration_ms: self.duration_ms,
            extra: Extra::new(),
        }
    }
}

/// What a turn used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metered {
    pub(crate) usage: TokenUsage,
    pub(crate) requests: Vec<RequestRecord>,
    /// What the provider did wrong last, if it has not done better since.
    pub(crate) problem: Option<TurnError>,
    /// Why the agent could not go on.
    pub(crate) used_up: Option<TurnError>,
}

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
}

#[derive(Debug)]
struct State {
    budget: Budget,
    /// Of all requests that went out, in that order.
    records: Vec<RequestRecord>,
    problem: Option<TurnError>,
}

/// A request that may go out.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) reservation: Reservation,
    /// Its place among the turn's.
    number: usize,
    started: Instant,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metering {
    pub(super) status: u16,
    pub(super) usage: Usage,
    pub(super) estimated: bool,
    pub(super) complete: bool,
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
        let state =
            State { budget: Budget::new(limits, max_requests), records: Vec::new(), problem: None };
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
        }
    }

    /// Waits until the request may go out. It may wait for the pace, and for others to end.
    pub(super) async fn admit(
        &self,
        wanted: &Wanted,
        format: WireFormat,
    ) -> Result<Admitted, Denied> {
        let reservation = self.wait(|budget, now| budget.admit(wanted, now)).await?;
        let mut state = self.state();
        let number = state.records.len();
        state.records.push(RequestRecord::begun(&self.model, format, reservation.read()));
        self.publish(&state);
        Ok(Admitted { reservation, number, started: Instant::now() })
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
        let problem = self.state().problem.clone();
        let why = match refusal {
            // It asked again because the provider failed: that is what went wrong.
            Refusal::TooManyRequests(_) | Refusal::Identical => problem,
            Refusal::UsedUp => None,
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
        let Metering { status, usage, estimated, complete } = metering;
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
        let mut state = self.state();
        let clamped = state.budget.settle(&admitted.reservation, &usage);
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

/// The sum of the requests, with how many there are and whether some of it is estimated.
fn used(records: &[RequestRecord]) -> Used {
    let mut sum = Usage::default();
    records.iter().for_each(|record| sum.add(&record.usage));
    let mut tokens = sum.to_wire();
    tokens.extra.insert("requests".to_owned(), records.len().into());
    if records.iter().any(|record| record.estimated) {
        tokens.extra.insert("estimated".to_owned(), true.into());
    }
    Used { tokens, requests: records.iter().map(RequestRecord::to_wire).collect() }
}

impl Metered {
    /// As it is kept with the turn.
    pub(crate) fn used(&self) -> Used {
        used(&self.requests)
    }
}

/// Meters a turn while it runs. Dropping it ends the turn's access to its model.
#[derive(Debug)]
pub(crate) struct TurnMeter {
    turn: Arc<OpenTurn>,
    gateway: ModelGateway,
    token_hash: [u8; 32],
}

impl TurnMeter {
    pub(super) fn new(turn: Arc<OpenTurn>, gateway: ModelGateway, token_hash: [u8; 32]) -> Self {
        Self { turn, gateway, token_hash }
    }

    /// Waits until the agent wanted more than it may have; why the turn ends.
    pub(crate) fn used_up(&self) -> impl Future<Output = TurnError> + Send + use<> {
        let mut used_up = self.turn.used_up.subscribe();
        async move {
            match used_up.wait_for(Option::is_some).await.map(|why| why.clone()) {
                Ok(Some(why)) => why,
                _ => std::future::pending().await,
            }
        }
    }

    /// What was used so far; it changes with every request that begins or ends.
    pub(crate) fn usage(&self) -> watch::Receiver<Used> {
        self.turn.usage.subscribe()
    }

    /// Ends the turn's access to its model. Requests under way have the given time to tell what
    /// they used; then they are cut and counted as far as they came.
    pub(crate) async fn close(self, grace: Duration) -> Metered {
        self.shut();
        let exchanges = &self.turn.exchanges;
        if tokio::time::timeout(grace, exchanges.wait()).await.is_err() {
            self.turn.cut.cancel();
            if tokio::time::timeout(SETTLING, exchanges.wait()).await.is_err() {
                tracing::error!(turn = self.turn.turn_id, "a model request did not end");
            }
        }
        let state = self.turn.state();
        Metered {
            usage: used(&state.records).tokens,
            requests: state.records.clone(),
            problem: state.problem.clone(),
            used_up: self.turn.used_up.borrow().clone(),
        }
    }

    fn shut(&self) {
        self.gateway.forget(&self.token_hash);
        self.turn.closed.cancel();
        self.turn.exchanges.close();
    }
}

impl Drop for TurnMeter {
    fn drop(&mut self) {
        self.shut();
        self.turn.cut.cancel();
    }
}

pub(super) fn turn_error(code: &str, message: impl Into<String>) -> TurnError {
    TurnError { message: message.into(), code: Some(code.to_owned()), extra: Extra::new() }
}

#[cfg(test)]
mod tests;
