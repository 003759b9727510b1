//! What agents in a sandbox ask people, and who waits for the answers.
//!
//! An agent that asks waits: until it is answered, until its turn is stopped, or until nobody has
//! answered for too long. The request goes to the orchestrator as an event of the turn; the answer
//! comes back by the name of the turn and of the request. Here nothing is checked and nothing is
//! written down: the orchestrator does both, for it trusts no sandbox.

mod permission;
mod question;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandbox_sdk::types::{
    Event, Extra, InteractionAnswer, InteractionAsked, InteractionCancelled, InteractionRequest,
    cancel_reason, event_type,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

pub(crate) use permission::{DENIED, Power, Wanted, replacement};
pub(crate) use question::Question;

use crate::sidecar::AgentRun;

/// Largest request, in bytes of JSON. It becomes one event.
const MAX_REQUEST: usize = 96 * 1024;
/// What an agent is told when nobody decided.
const NOBODY: &str = "Declined: nobody answered in time.";

/// All that wait in a sandbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Inner>);

struct Inner {
    waiting: Mutex<HashMap<Key, oneshot::Sender<InteractionAnswer>>>,
    /// Answers that were taken, for as long as their turns run: whoever gave one may not have heard.
    taken: Mutex<HashMap<Key, InteractionAnswer>>,
    /// What was allowed until the session ends, by session.
    granted: watch::Sender<HashSet<(String, Power)>>,
    patience: Duration,
}

/// Of a request: its turn and its id.
type Key = (String, String);

/// Asks in one turn. Clones ask in the same turn.
#[derive(Clone)]
pub(crate) struct Asker(Arc<AskerInner>);

struct AskerInner {
    broker: Broker,
    session_id: String,
    turn_id: String,
    events: mpsc::Sender<Event>,
    asked: AtomicUsize,
}

/// Why a request has no answer.
#[derive(Debug)]
enum Unanswered {
    /// Nobody answered in time.
    Expired,
    /// With the answer to another one, this was allowed too.
    Granted,
    /// It is larger than a request may be, and nobody was asked.
    TooLong,
}

impl Broker {
    /// `patience`: how long an agent waits for an answer.
    pub(crate) fn new(patience: Duration) -> Self {
        let (waiting, taken) = (Mutex::default(), Mutex::default());
        let granted = watch::Sender::default();
        Self(Arc::new(Inner { waiting, taken, granted, patience }))
    }

    /// One who asks in this turn.
    pub(crate) fn asker(&self, run: &AgentRun, events: mpsc::Sender<Event>) -> Asker {
        Asker(Arc::new(AskerInner {
            broker: self.clone(),
            session_id: run.session_id.clone(),
            turn_id: run.turn_id.clone(),
            events,
            asked: AtomicUsize::new(0),
        }))
    }

    /// Hands an answer to whoever waits for it. Whether somebody did; the same answer again is told the
    /// same.
    pub(crate) fn answer(&self, turn_id: &str, answer: InteractionAnswer) -> bool {
        let key = (turn_id.to_owned(), answer.id.clone());
        let mut taken = lock(&self.0.taken);
        if let Some(known) = taken.get(&key) {
            return *known == answer;
        }
        let waiting = self.take(&key);
        if waiting.is_none_or(|waiting| waiting.send(answer.clone()).is_err()) {
            return false;
        }
        taken.insert(key, answer);
        true
    }

    fn take(&self, key: &Key) -> Option<oneshot::Sender<InteractionAnswer>> {
        lock(&self.0.waiting).remove(key)
    }
}

/// Its turn is over, and nobody asks after its answers.
impl Drop for AskerInner {
    fn drop(&mut self) {
        lock(&self.broker.0.taken).retain(|(turn_id, _), _| *turn_id != self.turn_id);
    }
}

impl Asker {
    /// Asks, and waits for the answer, or until it is `granted` without one. Dropping the future takes
    /// the request back.
    async fn ask(
        &self,
        mut request: InteractionRequest,
        granted: impl Future<Output = ()>,
    ) -> Result<InteractionAnswer, Unanswered> {
        let inner = &self.0;
        let number = inner.asked.fetch_add(1, Ordering::Relaxed) + 1;
        request.id = format!("int_{}_{number}", inner.turn_id);
        let patience = inner.broker.0.patience;
        request.timeout_ms = u64::try_from(patience.as_millis()).ok();
        let mut waiting = self.wait_for(&request.id);
        let asked = InteractionAsked {
            request,
            session_id: inner.session_id.clone(),
            message_id: format!("msg_{}", inner.turn_id),
            extra: Extra::new(),
        };
        let size = serde_json::to_string(&asked).map_or(usize::MAX, |json| json.len());
        let event = Event::new(event_type::INTERACTION, &asked).ok();
        let Some(event) = event.filter(|_| size <= MAX_REQUEST) else {
            waiting.over();
            return Err(Unanswered::TooLong);
        };
        // When nobody takes events any more, whoever drives the agent notices and ends it.
        inner.events.send(event).await.ok();
        let (answer, why, reason) = tokio::select! {
            biased;
            answer = &mut waiting.answer => {
                (answer.ok(), Unanswered::Expired, cancel_reason::EXPIRED)
            }
            () = granted => {
                (waiting.last_moment().await, Unanswered::Granted, cancel_reason::GRANTED)
            }
            () = sleep(patience) => {
                (waiting.last_moment().await, Unanswered::Expired, cancel_reason::EXPIRED)
            }
        };
        waiting.over();
        if answer.is_none()
            && let Some(event) = cancelled(&waiting.key.1, reason)
        {
            inner.events.send(event).await.ok();
        }
        answer.ok_or(why)
    }

    fn wait_for(&self, id: &str) -> Waiting {
        let (sender, answer) = oneshot::channel();
        let key = (self.0.turn_id.clone(), id.to_owned());
        lock(&self.0.broker.0.waiting).insert(key.clone(), sender);
        Waiting { asker: self.clone(), key, answer, over: false }
    }
}

/// A request that somebody waits for.
struct Waiting {
    asker: Asker,
    key: Key,
    answer: oneshot::Receiver<InteractionAnswer>,
    over: bool,
}

impl Waiting {
    /// Takes no answer any more. Whether it could still have: none is on its way.
    fn over(&mut self) -> bool {
        self.over = true;
        self.asker.0.broker.take(&self.key).is_some()
    }

    /// Takes no answer any more, but for one that comes in the very last moment: whoever gave it was
    /// told that it counts.
    async fn last_moment(&mut self) -> Option<InteractionAnswer> {
        if self.over() { None } else { (&mut self.answer).await.ok() }
    }
}

/// Nobody waits any more: the agent was stopped, or went on by itself.
impl Drop for Waiting {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.over();
        let Some(event) = cancelled(&self.key.1, cancel_reason::WITHDRAWN) else { return };
        let events = self.asker.0.events.clone();
        if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { events.send(event).await.ok() });
        }
    }
}

fn cancelled(id: &str, reason: &str) -> Option<Event> {
    let cancelled = InteractionCancelled {
        id: id.to_owned(),
        reason: Some(reason.to_owned()),
        extra: Extra::new(),
    };
    Event::new(event_type::INTERACTION_CANCEL, &cancelled).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
