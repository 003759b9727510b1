//! What the agent of a running turn asks, and the answers on their way to it.
//!
//! A request is open while it stands as pending in the turn's message. Answers come through the turn's
//! own task, one after the other and between two batches of events: the log tells them in the order in
//! which things happened.

use std::collections::HashMap;

use sandbox_sdk::types::{
    Event, Extra, InteractionAnswer, InteractionAsked, InteractionCancelled, InteractionKind,
    InteractionRequest, InteractionResolved, InteractionStatus, Outcome, cancel_reason, event_type,
    grant,
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Turn, Turns,
    progress::{MAX_BYTES, NOTICE_BYTES, Progress},
};
use crate::{
    log::LogError,
    sidecar::SidecarClient,
    store::StoreError,
    turns::{
        TurnError,
        outcome::Outcome as TurnOutcome,
        posture::{Posture, words},
    },
};

/// Requests that may be open in a turn. An agent asks a few things at once.
const MAX_OPEN: usize = 32;
/// Answers that may be on their way.
const AHEAD: usize = 8;
/// Requests of a turn that are refused with a word to the agent. More than that nobody means.
const MAX_REFUSED: usize = 32;
/// Requests of a turn that are answered because nobody is asked. Whoever goes on does not listen.
const MAX_UNASKED: usize = 1000;

/// The turn's end of the line.
#[derive(Debug)]
pub(in crate::turns) struct Inquiries {
    given: mpsc::Receiver<Given>,
    open: watch::Sender<Vec<InteractionRequest>>,
    /// Answers that the agent has.
    taken: HashMap<String, InteractionAnswer>,
    /// What nobody is asked in this turn.
    posture: Posture,
    /// How often the agent asked it.
    unasked: usize,
    /// Requests that no person gets to see, and what the agent is still to be told of each.
    refused: Vec<(String, &'static str)>,
    /// How many there have been for want of room.
    refusals: usize,
    /// Titles of the permissions that a person gave for the rest of the session.
    granted: Vec<String>,
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

pub(in crate::turns) fn inquiries(posture: Posture) -> (Inquiries, InquiriesHandle) {
    let (sender, given) = mpsc::channel(AHEAD);
    let (open, seen) = watch::channel(Vec::new());
    let handle = InquiriesHandle { given: sender, open: seen };
    let inquiries = Inquiries {
        given,
        open,
        taken: HashMap::new(),
        posture,
        unasked: 0,
        refused: Vec::new(),
        refusals: 0,
        granted: Vec::new(),
    };
    (inquiries, handle)
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

    /// `false`: that were too many.
    fn refuse(&mut self, id: String) -> bool {
        self.refusals += 1;
        if self.refusals <= MAX_REFUSED {
            self.refused.push((id, "This could not be shown: too much is asked at once."));
        }
        self.refusals <= MAX_REFUSED
    }

    /// The same of what nobody is asked.
    fn answer_for_nobody(&mut self, request: InteractionRequest) -> bool {
        self.unasked += 1;
        if self.unasked <= MAX_UNASKED {
            self.refused.push((request.id, words(&request.kind)));
        }
        self.unasked <= MAX_UNASKED
    }

    fn take(&mut self, request: &InteractionRequest, answer: InteractionAnswer) {
        let grant = answer.data.get(grant::FIELD).and_then(Value::as_str);
        if request.kind == InteractionKind::Permission
            && answer.outcome == Outcome::Accepted
            && grant == Some(grant::ALLOW_SESSION)
        {
            self.granted.push(request.title.clone());
        }
        self.taken.insert(answer.id.clone(), answer);
    }

    /// Whether a person has allowed what the request asks for, with the answer to another one.
    fn has_granted(&self, request: &InteractionRequest) -> bool {
        request.kind == InteractionKind::Permission && self.granted.contains(&request.title)
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
        if self.message.has_interaction(&asked.request.id) {
            return;
        }
        if self.inquiries.posture.is_off(&asked.request.kind) {
            if !self.inquiries.answer_for_nobody(asked.request) {
                let why = "The agent asked again and again what nobody answers in this turn.";
                self.exceeded = Some(TurnOutcome::failed("TURN_TOO_LARGE", why));
                self.full = true;
            }
            return;
        }
        let full = self.full || self.bytes + size > MAX_BYTES;
        if full || self.message.open_requests().count() >= MAX_OPEN {
            tracing::warn!(id = asked.request.id, "a request to a person was not taken");
            if !self.inquiries.refuse(asked.request.id) {
                // It would wait in vain, and nobody would know what for.
                let why = "The agent asked for too much at once.";
                self.exceeded = Some(TurnOutcome::failed("TURN_TOO_LARGE", why));
                self.full = true;
            }
            return;
        }
        let Ok(event) = Event::new(event_type::INTERACTION, &asked) else { return };
        self.bytes += size;
        self.message.ask(asked);
        events.push(event);
    }

    /// The agent waits no longer.
    pub(super) fn take_cancel(
        &mut self,
        mut cancelled: InteractionCancelled,
        events: &mut Vec<Event>,
    ) {
        let Some(request) = self.message.open_request(&cancelled.id) else { return };
        let granted = cancelled.reason.as_deref() == Some(cancel_reason::GRANTED);
        if granted && !self.inquiries.has_granted(request) {
            // The sandbox says so, and no person has.
            cancelled.reason = Some(cancel_reason::WITHDRAWN.to_owned());
        }
        let Ok(event) = Event::new(event_type::INTERACTION_CANCEL, &cancelled) else { return };
        self.bytes += NOTICE_BYTES;
        self.message.cancel(cancelled);
        events.push(event);
    }

    /// Nobody can answer any more.
    pub(super) fn cancel_all(&mut self, reason: &str) -> Vec<Event> {
        let events = self.message.cancel_open(reason);
        self.publish();
        events
    }

    /// Shows what waits for an answer, once the log has it: nobody is asked what a crash could take
    /// back.
    pub(super) fn publish(&self) {
        self.inquiries.publish(self.message.open_requests().cloned().collect());
    }
}

impl Turns {
    /// Hands an answer to the agent, writes it down, and tells whoever gave it.
    ///
    /// # Errors
    /// The agent has the answer, and the log does not.
    pub(super) async fn take_answer(
        &self,
        turn: &Turn,
        progress: &mut Progress,
        sidecar: &SidecarClient,
        given: Given,
    ) -> Result<(), LogError> {
        let Given { answer, told } = given;
        let written = match hand_over(turn, progress, sidecar, answer).await {
            Ok(events) => self.append(&turn.log, events).await,
            Err(error) => {
                told.send(Err(error)).ok();
                return Ok(());
            }
        };
        // Nobody may want to know any more.
        told.send(written.clone().map_err(TurnError::from)).ok();
        written
    }

    /// Tells the agent which of its requests no person gets to see. It need not be waited for.
    pub(super) fn decline_refused(
        &self,
        turn: &Turn,
        progress: &mut Progress,
        sidecar: &SidecarClient,
    ) {
        let refused = std::mem::take(&mut progress.inquiries.refused);
        if refused.is_empty() {
            return;
        }
        let (sidecar, turn_id) = (sidecar.clone(), turn.id.clone());
        self.0.tasks.spawn(async move {
            for (id, why) in refused {
                let data = Extra::from_iter([(grant::FEEDBACK.to_owned(), why.into())]);
                let answer = InteractionAnswer { id, outcome: Outcome::Declined, data };
                if let Err(error) = sidecar.give_answer(&turn_id, &answer).await {
                    tracing::warn!(turn = turn_id, %error, "an agent waits in vain for an answer");
                }
            }
        });
    }
}

/// Hands an answer to the agent. Events that say so; none if it had it already.
async fn hand_over(
    turn: &Turn,
    progress: &mut Progress,
    sidecar: &SidecarClient,
    answer: InteractionAnswer,
) -> Result<Vec<Event>, TurnError> {
    if let Some(known) = progress.inquiries.taken.get(&answer.id) {
        return if *known == answer { Ok(Vec::new()) } else { Err(TurnError::AnsweredOtherwise) };
    }
    let request = progress.message.open_request(&answer.id).ok_or(TurnError::NobodyWaits)?;
    request.check(&answer).map_err(TurnError::InvalidAnswer)?;
    let resolved = InteractionResolved {
        id: answer.id.clone(),
        status: status(request, &answer),
        answer: Some(request.without_secrets(&answer.data)),
        extra: Extra::new(),
    };
    let event =
        Event::new(event_type::INTERACTION_RESOLVED, &resolved).map_err(StoreError::from)?;
    if !sidecar.give_answer(&turn.id, &answer).await? {
        return Err(TurnError::NobodyWaits);
    }
    progress.inquiries.take(request, answer);
    progress.message.resolve(resolved);
    progress.publish();
    Ok(vec![event])
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

#[cfg(test)]
mod tests;
