//! What the person is told.

use leptos::prelude::*;

use super::{Conversation, lock};
use crate::error::AppError;

/// Something that went wrong, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub words: String,
    pub bad: bool,
    pub action: Option<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load the conversation again.
    Reopen,
    /// Load the whole page again.
    ReloadPage,
    /// Ask again how the turn stands.
    Follow,
    /// Load again what shows and follows conversations.
    LoadThread,
}

impl Conversation {
    pub fn say(&self, words: impl Into<String>) {
        self.notice.set(Some(Notice { words: words.into(), bad: false, action: None }));
    }

    /// Takes back what was said, unless something else has been said since.
    pub fn unsay(&self, words: &str) {
        let said = |notice: &Notice| notice.words == words;
        if self.notice.with_untracked(|notice| notice.as_ref().is_some_and(said)) {
            self.notice.set(None);
        }
    }

    /// Says what the server wants the person to know, once: it repeats itself with every answer, and
    /// takes it back by not saying it any more.
    pub fn hear(&self, words: Option<String>) {
        let before = std::mem::replace(&mut *lock(&self.hidden.told), words.clone());
        if before == words {
            return;
        }
        if let Some(before) = before {
            self.unsay(&before);
        }
        if let Some(words) = words {
            self.say(words);
        }
    }

    pub fn complain(&self, error: &AppError) {
        let action = match error {
            AppError::Unauthenticated | AppError::Outdated => Some(Action::ReloadPage),
            _ => None,
        };
        self.notice.set(Some(Notice { words: error.to_string(), bad: true, action }));
    }
}
