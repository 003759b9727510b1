//! The turn that goes on, from the message that begins it to what is kept of it.

use leptos::prelude::*;

use super::{Conversation, Link, lock};
use crate::model::TurnOutcome;
use crate::state::{AgentMessage, Entry};

/// A turn that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub id: String,
    pub stage: Stage,
    /// When the stage began, by this browser's clock; 0 when it is not known.
    pub since: i64,
    /// To be stopped as soon as the server knows it.
    pub stop_wanted: bool,
}

impl Turn {
    pub fn is_stopping(&self) -> bool {
        self.stop_wanted || self.stage == Stage::Stopping
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Sending,
    Provisioning,
    Running,
    Stopping,
}

impl Conversation {
    /// Shows a message that was just sent, and the answer to come. `again`: it is the last question.
    pub fn begin(&self, turn_id: &str, text: &str, again: bool, now: i64) -> AgentMessage {
        let answer = AgentMessage::live(turn_id.to_owned());
        let said = Entry::Person { turn_id: turn_id.to_owned(), text: text.to_owned(), again };
        self.entries.update(|entries| entries.extend([said, Entry::Agent(answer.clone())]));
        let (id, stage) = (turn_id.to_owned(), Stage::Sending);
        self.turn.set(Some(Turn { id, stage, since: now, stop_wanted: false }));
        answer
    }

    /// Takes back a message that was not sent.
    pub fn take_back(&self, turn_id: &str) {
        self.entries.update(|entries| {
            entries.retain(|entry| match entry {
                Entry::Person { turn_id: id, .. } => id != turn_id,
                Entry::Agent(message) => message.turn_id != turn_id,
            });
        });
        self.turn.set(None);
    }

    /// Moves the turn on, if it is still this one. A turn that is being stopped stays so.
    pub fn set_stage(&self, turn_id: &str, stage: Stage, now: i64) {
        let moves = |turn: &Turn| {
            turn.id == turn_id && turn.stage != stage && turn.stage != Stage::Stopping
        };
        if self.turn.with_untracked(|turn| turn.as_ref().is_some_and(moves)) {
            self.turn.update(|turn| {
                if let Some(turn) = turn {
                    (turn.stage, turn.since) = (stage, now);
                }
            });
        }
    }

    /// The turn, if it is still this one, could not be stopped: it goes on as before.
    pub fn go_on(&self, turn_id: &str, stage: Stage) {
        let stopping = |turn: &Turn| turn.id == turn_id && turn.stage == Stage::Stopping;
        if self.turn.with_untracked(|turn| turn.as_ref().is_some_and(stopping)) {
            self.turn.update(|turn| {
                if let Some(turn) = turn {
                    (turn.stage, turn.stop_wanted) = (stage, false);
                }
            });
        }
    }

    /// Whether the person has asked to stop the turn before the server knew it.
    pub fn wants_stop(&self, turn_id: &str) -> bool {
        let wanted = |turn: &Turn| turn.id == turn_id && turn.stop_wanted;
        self.turn.with_untracked(|turn| turn.as_ref().is_some_and(wanted))
    }

    pub fn is_following(&self, turn_id: &str) -> bool {
        self.turn.with_untracked(|turn| turn.as_ref().is_some_and(|turn| turn.id == turn_id))
    }

    /// Ends the turn with what the server keeps of it.
    pub fn settle(&self, outcome: TurnOutcome) {
        let turn_id = outcome.message.turn_id.clone();
        self.saw(outcome.message.created_at);
        match self.answer(&turn_id) {
            Some(message) => message.settle(outcome.message),
            None => {
                let message = AgentMessage::settled(outcome.message);
                self.entries.update(|entries| entries.push(Entry::Agent(message)));
            }
        }
        if self.is_following(&turn_id) {
            self.turn.set(None);
            self.link.set(Link::Idle);
        }
    }

    /// The id for sending a text: that of a failed try with the same text, if there was one.
    pub fn turn_id_for(&self, text: &str, fresh: impl FnOnce() -> String) -> String {
        let mut unsent = lock(&self.hidden.unsent);
        match unsent.as_ref().filter(|(_, known)| known == text) {
            Some((id, _)) => id.clone(),
            None => {
                let id = fresh();
                *unsent = Some((id.clone(), text.to_owned()));
                id
            }
        }
    }

    /// The message has arrived: the same text again is another message.
    pub fn was_sent(&self) {
        *lock(&self.hidden.unsent) = None;
    }
}
