//! One turn at the gateway: what its agent may ask for, what it has used, and what went wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sandbox_sdk::types::{Extra, TokenUsage, TurnError, TurnLimits, WireFormat};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ChosenModel, ModelGateway,
    budget::{Admission, Budget, Refusal, Reservation, Wanted},
    usage::Usage,
};

/// After the grace: what is cut off settles at once.
const SETTLING: Duration = Duration::from_secs(2);

/// One request to a model, as it was metered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestRecord {
    /// As `provider/model`.
    pub(crate) model: String,
    pub(crate) format: WireFormat,
    /// What the provider answered; 0: nothing.
    pub(crate) status: u16,
    #[serde(flatten)]
    pub(crate) usage: Usage,
    /// The provider did not tell what it used: counted from what passed.
    pub(crate) estimated: bool,
    /// The answer came to its end.
    pub(crate) complete: bool,
    pub(crate) duration_ms: u64,
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
    usage: watch::Sender<TokenUsage>,
    /// No new requests.
    pub(super) closed: CancellationToken,
    /// Requests under way end at once.
    pub(super) cut: CancellationToken,
    pub(super) exchanges: TaskTracker,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    records: Vec<RequestRecord>,
    problem: Option<TurnError>,
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
    pub(super) async fn admit(&self, wanted: &Wanted) -> Result<Reservation, Denied> {
        let reservation = self.wait(|budget, now| budget.admit(wanted, now)).await?;
        self.publish(&self.state());
        Ok(reservation)
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

    /// Takes the record of a request that has ended.
    pub(super) fn settle(
        &self,
        reservation: &Reservation,
        record: RequestRecord,
        problem: Option<TurnError>,
    ) {
        tracing::info!(
            turn = self.turn_id,
            model = record.model,
            status = record.status,
            input = record.usage.input,
            cache_read = record.usage.cache_read,
            cache_write = record.usage.cache_write,
            output = record.usage.output,
            estimated = record.estimated,
            complete = record.complete,
            ms = record.duration_ms,
            "model request"
        );
        let mut state = self.state();
        let clamped = state.budget.settle(reservation, &record.usage);
        state.problem = problem;
        state.records.push(record);
        self.publish(&state);
        drop(state);
        if clamped {
            self.use_up(Refusal::UsedUp);
        }
        self.freed.notify_waiters();
    }

    /// Tells what is used so far. With the state in hand, so that nothing older comes later.
    fn publish(&self, state: &State) {
        self.usage.send_replace(state.usage());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The sum, with how many requests it is of, and whether some of it is estimated. A request under way
    /// counts as read: should this process end, nobody will know better.
    fn usage(&self) -> TokenUsage {
        let (reading, under_way) = self.budget.under_way();
        let mut sum = self.budget.spent();
        sum.add(&reading);
        let mut usage = sum.to_wire();
        let requests = self.records.len().saturating_add(under_way as usize);
        usage.extra.insert("requests".to_owned(), requests.into());
        if under_way > 0 || self.records.iter().any(|record| record.estimated) {
            usage.extra.insert("estimated".to_owned(), true.into());
        }
        usage
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
    pub(crate) fn usage(&self) -> watch::Receiver<TokenUsage> {
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
            usage: state.usage(),
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
