//! What the next message is sent to.

use std::sync::atomic::Ordering;

use leptos::prelude::*;

use super::Conversation;
use crate::model::Choice;

impl Conversation {
    /// Agent and model are chosen here, for the next message.
    pub fn choose(&self, choice: Choice) {
        self.hidden.chosen.store(true, Ordering::Relaxed);
        self.choice.set(Some(choice));
    }

    /// The choice was sent: from here on it is as the chat's last turn says.
    pub fn choice_was_sent(&self) {
        self.hidden.chosen.store(false, Ordering::Relaxed);
    }

    /// What was chosen here and not sent yet.
    pub fn chosen_since(&self) -> Option<Choice> {
        let chosen = self.hidden.chosen.load(Ordering::Relaxed);
        self.choice.get_untracked().filter(|_| chosen)
    }

    /// Takes the choice of the chat's last turn. What was chosen here and not sent yet stays.
    pub(super) fn follow_choice(&self, last: Option<Choice>) {
        let chosen = self.hidden.chosen.load(Ordering::Relaxed);
        if !chosen && last.is_some() && *self.choice.read_untracked() != last {
            self.choice.set(last);
        }
    }
}
