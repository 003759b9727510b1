//! What an agent does, told in the events of a session.
//!
//! Agents tell the same thing more than once: in deltas, then whole, and again when a model's answer
//! broke off and was asked for once more. Here it becomes one part each time: a delta lets it grow, the
//! whole replaces it, and an answer that broke off makes room for the next one.

mod parts;

use std::collections::HashMap;

use sandbox_sdk::types::{
    Event, Part, PartBody, PartUpdated, StatusUpdate, TurnError, TurnState, event_type,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{super::message::AgentRun, End};
use crate::sidecar::{AGENT_FINISHED, AgentFinished};
use parts::{Kind, Slot, prose};
pub(super) use parts::{Prose, ToolStep};

pub(super) struct Reporter {
    session_id: String,
    turn_id: String,
    events: mpsc::Sender<Event>,
    /// By the agent's own names, in the order of appearance.
    slots: Vec<(String, Slot)>,
    /// Where a part of that name stands, which may be given anew.
    known: HashMap<String, usize>,
    /// Parts of answers that broke off.
    abandoned: Vec<usize>,
    numbered: usize,
}

impl Reporter {
    pub(super) fn new(run: &AgentRun, events: mpsc::Sender<Event>) -> Self {
        Self {
            session_id: run.session_id.clone(),
            turn_id: run.turn_id.clone(),
            events,
            slots: Vec::new(),
            known: HashMap::new(),
            abandoned: Vec::new(),
            numbered: 0,
        }
    }

    /// Prose grew.
    pub(super) async fn grow(&mut self, kind: Prose, key: &str, delta: &str) {
        if delta.is_empty() {
            return;
        }
        let at = self.slot(Kind::Prose(kind), key).await;
        let Some((_, slot)) = self.slots.get_mut(at) else { return };
        slot.said = true;
        let (id, body) = (slot.id.clone(), prose(kind, String::new(), slot.start, None));
        self.update(id, body, Some(delta.to_owned())).await;
    }

    /// Prose is complete: this is all of it.
    pub(super) async fn settle(&mut self, kind: Prose, key: &str, whole: &str) {
        let known = self.known.get(key).and_then(|at| self.slots.get(*at));
        if whole.is_empty() && known.is_none_or(|(_, slot)| !slot.said) {
            return;
        }
        let at = self.slot(Kind::Prose(kind), key).await;
        let Some((_, slot)) = self.slots.get_mut(at) else { return };
        slot.said = true;
        slot.settled = true;
        let end = Some(crate::clock::now_ms());
        let (id, body) = (slot.id.clone(), prose(kind, whole.to_owned(), slot.start, end));
        self.update(id, body, None).await;
    }

    /// The model's answer broke off. What of it is not complete makes room for what comes next.
    pub(super) fn abandon(&mut self) {
        for (at, (key, slot)) in self.slots.iter_mut().enumerate() {
            let pending = !slot.kind.is_tool() || slot.is_pending();
            if !slot.settled && pending && !self.abandoned.contains(&at) {
                self.known.remove(key);
                self.abandoned.push(at);
            }
        }
    }

    /// A tool call went on. Steps that come late change nothing.
    pub(super) async fn tool(&mut self, key: &str, name: &str, step: ToolStep) {
        let at = self.slot(Kind::Tool, key).await;
        let Some((_, slot)) = self.slots.get_mut(at) else { return };
        if let Some(body) = slot.take(key, name, step) {
            let id = slot.id.clone();
            self.update(id, body, None).await;
        }
    }

    /// Tools that work now.
    pub(super) fn running_tools(&self) -> usize {
        self.slots.iter().filter(|(_, slot)| slot.is_running()).count()
    }

    /// Progress in words.
    pub(super) async fn status(&self, status: &str, detail: impl Into<String>) {
        let detail = Some(detail.into());
        let update = StatusUpdate { status: status.to_owned(), detail, extra: Default::default() };
        self.emit(event_type::STATUS, &update).await;
    }

    /// The turn is over.
    pub(super) async fn finish(mut self, end: End) {
        let (outcome, reason) = match &end {
            End::Completed => (TurnState::Completed, "No result came"),
            End::Aborted => (TurnState::Aborted, "Stopped"),
            End::Failed(_) => (TurnState::Failed, "The agent ended before this was done"),
        };
        if end == End::Completed {
            // What nothing came in the place of was never said.
            for at in std::mem::take(&mut self.abandoned) {
                self.clear(at).await;
            }
        }
        let mut closed = Vec::new();
        for (key, slot) in &mut self.slots {
            if slot.kind.is_tool() && !slot.settled {
                let step = ToolStep::Failed { error: reason.to_owned(), output: Value::Null };
                closed.extend(slot.take(key, "", step).map(|body| (slot.id.clone(), body)));
            }
        }
        for (id, body) in closed {
            self.update(id, body, None).await;
        }
        if let End::Failed(error) = end {
            let error = TurnError { message: parts::clip(&error.message), ..error };
            self.emit(event_type::ERROR, &error).await;
        }
        self.emit(AGENT_FINISHED, &AgentFinished { outcome }).await;
    }

    /// The part of that name; a new one takes the place of one that was abandoned.
    async fn slot(&mut self, kind: Kind, key: &str) -> usize {
        if let Some(at) = self.known.get(key)
            && self.slots.get(*at).is_some_and(|(_, slot)| slot.kind == kind && !slot.settled)
        {
            return *at;
        }
        // A settled tool call stays what it is; settled prose of the same name is another piece.
        if kind.is_tool()
            && let Some(at) = self.known.get(key)
        {
            return *at;
        }
        let found = self.abandoned.iter().position(|at| self.slots[*at].1.kind == kind);
        let at = match found.map(|found| self.abandoned.remove(found)) {
            Some(at) => {
                self.slots[at].0 = key.to_owned();
                self.slots[at].1.forget_tool();
                self.clear(at).await;
                at
            }
            None => {
                self.numbered += 1;
                let id = format!("prt_{}_{}", self.turn_id, self.numbered);
                self.slots.push((key.to_owned(), Slot::new(kind, id)));
                self.slots.len() - 1
            }
        };
        self.known.insert(key.to_owned(), at);
        at
    }

    async fn clear(&mut self, at: usize) {
        let slot = &mut self.slots[at].1;
        let said = std::mem::take(&mut slot.said);
        if let (Kind::Prose(kind), true) = (slot.kind, said) {
            let (id, body) = (slot.id.clone(), prose(kind, String::new(), slot.start, None));
            self.update(id, body, None).await;
        }
    }

    async fn update(&self, id: String, body: PartBody, delta: Option<String>) {
        let part = Part {
            id,
            session_id: self.session_id.clone(),
            message_id: format!("msg_{}", self.turn_id),
            body,
        };
        let update = PartUpdated { part, delta, extra: Default::default() };
        self.emit(event_type::PART_UPDATED, &update).await;
    }

    async fn emit(&self, kind: &str, body: &impl serde::Serialize) {
        if let Ok(event) = Event::new(kind, body) {
            // When nobody listens any more, whoever drives the agent notices and ends it.
            self.events.send(event).await.ok();
        }
    }
}

#[cfg(test)]
mod tests;
