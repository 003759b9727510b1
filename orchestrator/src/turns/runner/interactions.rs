//! What the agent of a running turn asks, and the answers on their way to it.
//!
//! A request is open while it stands as pending in the turn's message. Answers come through the turn's
//! own task, one after the other and between two batches of events: the log tells them in the order in
//! which things happened.

use std::collections::HashMap;

use sandbox_sdk::types::{
    Event, InteractionAnswer, InteractionAsked, InteractionCancelled, InteractionKind,
    InteractionRequest, InteractionResolved, InteractionStatus, event_type, grant,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{MAX_BYTES, NOTICE_BYTES, Progress, Turn, Turns};
use crate::{sidecar::SidecarClient, store::StoreError, turns::TurnError};

/// Requests that may be open in a turn. An agent asks a few things at once.
const MAX_OPEN: usize = 32;
/// Answers that may be on their way.
const AHEAD: usize = 8;

/// The turn's end of the line.
#[derive(Debug)]
pub(in crate::turns) struct Inquiries {
    given: mpsc::Receiver<Given>,
    open: watch::Sender<Vec<InteractionRequest>>,
    /// Answers that the agent has.
    taken: HashMap<String, InteractionAnswer>,
}

/// The other end, for whoever answers.
#[derive(Clone, Debug)]
pub(in crate::turns) struct InquiriesHandle {
    given: mpsc::Sender<Given>,
    open: watch::Receiver<Vec<InteractionRequest>>,
}

/// An answer, and who wants to know whether it was taken.
#[derive(Debug)]
pub(super) struct Given {
    answer: InteractionAnswer,
    told: oneshot::Sender<Result<(), TurnError>>,
}

pub(in crate::turns) fn inquiries() -> (Inquiries, InquiriesHandle) {
    let (sender, given) = mpsc::channel(AHEAD);
    let (open, seen) = watch::channel(Vec::new());
    let handle = InquiriesHandle { given: sender, open: seen };
    (Inquiries { given, open, taken: HashMap::new() }, handle)
}

impl InquiriesHandle {
    /// What waits for an answer, oldest first.
    pub(in crate::turns) fn open(&self) -> Vec<InteractionRequest> {
        self.open.borrow().clone()
    }

    pub(in crate::turns) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Answers one of them.
    pub(in crate::turns) async fn answer(
        &self,
        answer: InteractionAnswer,
    ) -> Result<(), TurnError> {
        let (told, heard) = oneshot::channel();
        // A turn that has ended hears nothing more.
        self.given.send(Given { answer, told }).await.map_err(|_| TurnError::NobodyWaits)?;
        heard.await.unwrap_or(Err(TurnError::NobodyWaits))
    }
}

impl Inquiries {
    /// The next answer. May be dropped without losing one.
    pub(super) async fn next(&mut self) -> Given {
        match self.given.recv().await {
            Some(given) => given,
            // The turn is all but over.
            None => std::future::pending().await,
        }
    }

    fn publish(&self, open: Vec<InteractionRequest>) {
        self.open.send_if_modified(|known| {
            let news = *known != open;
            *known = open;
            news
        });
    }
}

impl Progress {
    /// Whether the agent waits for a person.
    pub(super) fn waits(&self) -> bool {
        self.message.open_requests().next().is_some()
    }

    /// The agent asks.
    pub(super) fn take_request(&mut self, asked: InteractionAsked, events: &mut Vec<Event>) {
        let size = serde_json::to_string(&asked).map_or(0, |json| json.len());
        let full = self.full || self.bytes + size > MAX_BYTES;
        let known = self.message.has_interaction(&asked.request.id);
        if full || known || self.message.open_requests().count() >= MAX_OPEN {
            tracing::warn!(id = asked.request.id, "a request to a person was not taken");
            return;
        }
        let Ok(event) = Event::new(event_type::INTERACTION, &asked) else { return };
        self.bytes += size;
        self.message.ask(asked);
        events.push(event);
        self.publish();
    }

    /// The agent waits no longer.
    pub(super) fn take_cancel(&mut self, cancelled: InteractionCancelled, events: &mut Vec<Event>) {
        if self.message.open_request(&cancelled.id).is_none() {
            return;
        }
        let Ok(event) = Event::new(event_type::INTERACTION_CANCEL, &cancelled) else { return };
        self.bytes += NOTICE_BYTES;
        self.message.cancel(cancelled);
        events.push(event);
        self.publish();
    }

    /// Nobody can answer any more.
    pub(super) fn cancel_all(&mut self, reason: &str) -> Vec<Event> {
        let events = self.message.cancel_open(reason);
        self.publish();
        events
    }

    fn publish(&self) {
        self.inquiries.publish(self.message.open_requests().cloned().collect());
    }
}

impl Turns {
    /// Hands an answer to the agent, writes it down, and tells whoever gave it.
    pub(super) async fn take_answer(
        &self,
        turn: &Turn,
        progress: &mut Progress,
        sidecar: &SidecarClient,
        given: Given,
    ) {
        let Given { answer, told } = given;
        // Nobody may want to know any more.
        told.send(self.hand_over(turn, progress, sidecar, answer).await).ok();
    }

    async fn hand_over(
        &self,
        turn: &Turn,
        progress: &mut Progress,
        sidecar: &SidecarClient,
        answer: InteractionAnswer,
    ) -> Result<(), TurnError> {
        if let Some(known) = progress.inquiries.taken.get(&answer.id) {
            return if *known == answer { Ok(()) } else { Err(TurnError::AnsweredOtherwise) };
        }
        let request = progress.message.open_request(&answer.id);
        let request = request.ok_or(TurnError::NobodyWaits)?;
        request.check(&answer).map_err(TurnError::InvalidAnswer)?;
        let resolved = InteractionResolved {
            id: answer.id.clone(),
            status: status(request, &answer),
            answer: Some(request.without_secrets(&answer.data)),
            extra: Default::default(),
        };
        let event = Event::new(event_type::INTERACTION_RESOLVED, &resolved);
        let event = event.map_err(StoreError::from)?;
        if !sidecar.give_answer(&turn.id, &answer).await? {
            return Err(TurnError::NobodyWaits);
        }
        progress.inquiries.taken.insert(answer.id.clone(), answer);
        progress.message.resolve(resolved);
        progress.publish();
        Ok(self.append(&turn.log, vec![event]).await?)
    }
}

/// What an answer comes to: a permission that says no is a refusal, whatever else it says.
pub(in crate::turns) fn status(
    request: &InteractionRequest,
    answer: &InteractionAnswer,
) -> InteractionStatus {
    let denied = request.kind == InteractionKind::Permission
        && answer.data.get(grant::FIELD).is_some_and(|given| given == grant::DENY);
    match InteractionStatus::from(answer.outcome) {
        InteractionStatus::Accepted if denied => InteractionStatus::Declined,
        status => status,
    }
}
