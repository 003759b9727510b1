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
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandbox_sdk::types::{
    Event, Extra, InteractionAnswer, InteractionAsked, InteractionCancelled, InteractionRequest,
    cancel_reason, event_type,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub(crate) use permission::{DENIED, Power, Wanted, replacement};
pub(crate) use question::Question;

use crate::sidecar::AgentRun;

/// Largest request, in bytes of JSON. It becomes one event.
const MAX_REQUEST: usize = 96 * 1024;

/// All that wait in a sandbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Inner>);

struct Inner {
    /// By turn and request.
    waiting: Mutex<HashMap<(String, String), oneshot::Sender<InteractionAnswer>>>,
    /// What was allowed until the session ends, by session.
    granted: Mutex<HashSet<(String, Power)>>,
    patience: Duration,
}

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

/// What came of a request.
#[derive(Debug)]
enum Reply {
    Answered(InteractionAnswer),
    /// Nobody answered in time.
    Expired,
    /// It is larger than a request may be, and nobody was asked.
    TooLong,
}

impl Broker {
    /// `patience`: how long an agent waits for an answer.
    pub(crate) fn new(patience: Duration) -> Self {
        let (waiting, granted) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { waiting, granted, patience }))
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

    /// Hands an answer to whoever waits for it. Whether somebody did.
    pub(crate) fn answer(&self, turn_id: &str, answer: InteractionAnswer) -> bool {
        let waiting = self.take(&(turn_id.to_owned(), answer.id.clone()));
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }

    fn take(&self, key: &(String, String)) -> Option<oneshot::Sender<InteractionAnswer>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

impl Asker {
    /// Asks, and waits. Dropping the future takes the request back.
    async fn ask(&self, mut request: InteractionRequest) -> Reply {
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
            return Reply::TooLong;
        };
        // When nobody takes events any more, whoever drives the agent notices and ends it.
        inner.events.send(event).await.ok();
        let answer = timeout(patience, &mut waiting.answer).await;
        // One that came in the very last moment counts: whoever gave it was told so.
        let answer = match answer {
            Ok(answer) => answer.ok(),
            Err(_) if waiting.over() => None,
            Err(_) => (&mut waiting.answer).await.ok(),
        };
        waiting.over();
        match answer {
            Some(answer) => Reply::Answered(answer),
            None => {
                if let Some(event) = cancelled(&waiting.key.1, cancel_reason::EXPIRED) {
                    inner.events.send(event).await.ok();
                }
                Reply::Expired
            }
        }
    }

    fn wait_for(&self, id: &str) -> Waiting {
        let (sender, answer) = oneshot::channel();
        let key = (self.0.turn_id.clone(), id.to_owned());
        let mut waiting = self.0.broker.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(key.clone(), sender);
        Waiting { asker: self.clone(), key, answer, over: false }
    }

    fn granted(&self) -> std::sync::MutexGuard<'_, HashSet<(String, Power)>> {
        self.0.broker.0.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that somebody waits for.
struct Waiting {
    asker: Asker,
    key: (String, String),
    answer: oneshot::Receiver<InteractionAnswer>,
    over: bool,
}

impl Waiting {
    /// Takes no answer any more. Whether it could still have: none is on its way.
    fn over(&mut self) -> bool {
        self.over = true;
        self.asker.0.broker.take(&self.key).is_some()
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

#[cfg(test)]
mod tests;
