//! The messages before those that a conversation was opened with, got as they are asked for.
//!
//! They have ended, and nothing changes them any more: they stay as they came, whatever is loaded again
//! of what comes after them.

use std::sync::Arc;

use leptos::prelude::*;

use super::conversation::Conversation;
use super::message::{AgentMessage, Entry};
use crate::error::AppError;
use crate::model::{EarlierPage, Message, Role};

/// Whether there are messages before those that are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    Nothing,
    More,
    /// They are on their way.
    Loading,
    Failed(AppError),
}

/// The messages of one answer.
#[derive(Clone, Debug)]
pub struct Batch {
    entries: Arc<[Entry]>,
    /// What comes after them asks their last question again.
    asked_again: bool,
}

impl Batch {
    /// Stays the same.
    pub fn key(&self) -> String {
        self.first().to_owned()
    }

    /// Its entries as they are read; `follow`: others are shown before them.
    pub fn shown(&self, follow: bool) -> Vec<Entry> {
        as_read(&self.entries, follow, self.asked_again)
    }

    /// The turn that it begins with.
    fn first(&self) -> &str {
        self.entries.first().map_or("", Entry::turn_id)
    }
}

impl Conversation {
    /// Gets ready to ask for earlier messages: answers before which turn. None: there are none, or
    /// they are on their way.
    pub fn ask_earlier(&self) -> Option<String> {
        if matches!(*self.earlier.read_untracked(), Earlier::Nothing | Earlier::Loading) {
            return None;
        }
        let before = self.first_turn()?;
        self.earlier.set(Earlier::Loading);
        Some(before)
    }

    /// Takes earlier messages. False: they don't belong before what is shown by now.
    pub fn take_earlier(&self, before: &str, found: EarlierPage) -> bool {
        if !self.awaits_earlier(before) {
            return false;
        }
        let entries: Arc<[Entry]> = entries(found.messages, &[]).into();
        if !entries.is_empty() {
            let asked_again = self.first_entry(|first| first.is_some_and(Entry::is_again));
            self.before.update(|before| before.insert(0, Batch { entries, asked_again }));
        }
        self.earlier.set(if found.earlier { Earlier::More } else { Earlier::Nothing });
        true
    }

    /// Earlier messages could not be had. False: nobody waits for them.
    pub fn miss_earlier(&self, before: &str, error: AppError) -> bool {
        let awaited = self.awaits_earlier(before);
        if awaited {
            self.earlier.set(Earlier::Failed(error));
        }
        awaited
    }

    fn awaits_earlier(&self, before: &str) -> bool {
        *self.earlier.read_untracked() == Earlier::Loading
            && self.first_turn().as_deref() == Some(before)
    }

    fn first_turn(&self) -> Option<String> {
        self.first_entry(|first| first.map(|entry| entry.turn_id().to_owned()))
    }

    fn first_entry<T>(&self, look: impl FnOnce(Option<&Entry>) -> T) -> T {
        self.before.with_untracked(|before| match before.first() {
            Some(batch) => look(batch.entries.first()),
            None => self.entries.with_untracked(|entries| look(entries.first())),
        })
    }

    /// What is shown begins with what was just loaded: there is a gap before it, or nothing.
    pub(super) fn begin_anew(&self, earlier: bool) {
        if !self.before.read_untracked().is_empty() {
            self.before.set(Vec::new());
        }
        let earlier = if earlier { Earlier::More } else { Earlier::Nothing };
        if *self.earlier.read_untracked() != earlier {
            self.earlier.set(earlier);
        }
    }

    /// Whether the conversation, as it is shown, begins with this batch.
    pub fn begins_with(&self, batch: &Batch) -> bool {
        self.before.with(|before| before.first().is_some_and(|it| it.first() == batch.first()))
    }

    /// The entries after all batches as they are read.
    pub fn shown(&self) -> Vec<Entry> {
        let first = self.before.with(Vec::is_empty);
        self.entries.with(|entries| as_read(entries, !first, false))
    }
}

/// The messages as entries. An answer that is known already stays the one it is.
pub(super) fn entries(messages: Vec<Message>, known: &[Entry]) -> Vec<Entry> {
    let entry = |message: Message| match message.role {
        Role::User => person(&message),
        Role::Assistant => Entry::Agent(match answer(known, &message.turn_id) {
            Some(shown) => {
                shown.settle(message);
                shown
            }
            None => AgentMessage::settled(message),
        }),
    };
    messages.into_iter().map(entry).collect()
}

/// The agent's message of a turn.
pub(super) fn answer(entries: &[Entry], turn_id: &str) -> Option<AgentMessage> {
    entries.iter().rev().find_map(|entry| match entry {
        Entry::Agent(message) if message.turn_id == turn_id => Some(message.clone()),
        _ => None,
    })
}

/// A person's message is one text.
fn person(message: &Message) -> Entry {
    let text = message.parts.iter().filter_map(|part| match &part.body {
        sandbox_sdk::types::PartBody::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    let text = text.collect::<Vec<_>>().join("\n\n");
    Entry::Person { turn_id: message.turn_id.clone(), text, again: message.repeats }
}

/// The entries as they are read: a question that was asked again stands there once, and where its
/// first answer went wrong, the next one takes that place. `follow`: others are shown before them;
/// `asked_again`: so is their last question by what comes after them.
fn as_read(entries: &[Entry], follow: bool, asked_again: bool) -> Vec<Entry> {
    let next_asks_again = |at: usize| entries.get(at + 1).map_or(asked_again, Entry::is_again);
    let is_shown = |(at, entry): &(usize, &Entry)| match entry {
        // Where the question itself is not shown, this one stands for it.
        Entry::Person { again, .. } => !again || (*at == 0 && !follow),
        Entry::Agent(message) => !(next_asks_again(*at) && message.is_void()),
    };
    entries.iter().enumerate().filter(is_shown).map(|(_, entry)| entry.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChatPage, MessageState};
    use crate::state::samples::{chat, message, turns};

    fn opened(messages: Vec<Message>) -> Conversation {
        let conversation = Conversation::loading("c".into());
        conversation.load(ChatPage { earlier: true, ..chat(messages) });
        conversation
    }

    /// Keys of all that is shown, in order.
    fn keys(conversation: &Conversation) -> Vec<String> {
        let before = conversation.before.get_untracked();
        let batches = before.iter().map(|batch| batch.shown(!conversation.begins_with(batch)));
        batches.chain([conversation.shown()]).flatten().map(|entry| entry.key()).collect()
    }

    fn keys_of(turns: impl IntoIterator<Item = u32>) -> Vec<String> {
        turns.into_iter().flat_map(|id| [format!("person-t{id}"), format!("agent-t{id}")]).collect()
    }

    /// Asks for earlier messages and gets these.
    fn get(conversation: &Conversation, messages: Vec<Message>, earlier: bool) {
        let before = conversation.ask_earlier().unwrap();
        assert!(conversation.take_earlier(&before, EarlierPage { messages, earlier }));
    }

    #[test]
    fn earlier_messages_come_before_the_others_until_there_are_none() {
        let conversation = opened(turns(7..10));
        assert_eq!(conversation.ask_earlier().as_deref(), Some("t7"));
        assert_eq!(conversation.ask_earlier(), None, "they are on their way");
        let found = EarlierPage { messages: turns(4..7), earlier: true };
        assert!(conversation.take_earlier("t7", found));
        assert_eq!(keys(&conversation), keys_of(4..10));
        get(&conversation, turns(1..4), false);
        assert_eq!(keys(&conversation), keys_of(1..10));
        assert_eq!(conversation.ask_earlier(), None, "there are none");
    }

    #[test]
    fn what_failed_can_be_asked_for_again() {
        let conversation = opened(turns(4..6));
        let before = conversation.ask_earlier().unwrap();
        assert!(conversation.miss_earlier(&before, AppError::Offline));
        assert_eq!(conversation.earlier.get_untracked(), Earlier::Failed(AppError::Offline));
        get(&conversation, turns(1..4), false);
        assert_eq!(keys(&conversation), keys_of(1..6));
    }

    #[test]
    fn a_chat_that_is_loaded_again_keeps_what_is_shown_before_its_last_messages() {
        let conversation = opened(turns(4..7));
        get(&conversation, turns(1..4), false);
        let shown = conversation.answer("t6").unwrap();
        // Another tab has gone on: the last three turns are others by now.
        conversation.load(ChatPage { earlier: true, ..chat(turns(6..9)) });
        assert_eq!(keys(&conversation), keys_of(1..9));
        assert_eq!(conversation.earlier.get_untracked(), Earlier::Nothing, "all are shown");
        let still = conversation.answer("t6").unwrap();
        assert!(shown.segments == still.segments, "what is on the page stays there");
        conversation.load(ChatPage { earlier: true, ..chat(turns(8..11)) });
        assert_eq!(keys(&conversation), keys_of(1..11));
    }

    #[test]
    fn where_messages_would_be_missing_in_between_the_chat_begins_with_its_last_ones() {
        let conversation = opened(turns(4..7));
        get(&conversation, turns(1..4), false);
        conversation.load(ChatPage { earlier: true, ..chat(turns(10..13)) });
        assert_eq!(keys(&conversation), keys_of(10..13));
        get(&conversation, turns(7..10), true);
        assert_eq!(keys(&conversation), keys_of(7..13));
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_put_before_what_it_does_not_belong_to() {
        let conversation = opened(turns(4..7));
        let before = conversation.ask_earlier().unwrap();
        conversation.load(ChatPage { earlier: true, ..chat(turns(10..13)) });
        let found = || EarlierPage { messages: turns(1..4), earlier: false };
        assert!(!conversation.take_earlier(&before, found()));
        assert_eq!(conversation.earlier.get_untracked(), Earlier::More);
        conversation.ask_earlier().unwrap();
        assert!(!conversation.take_earlier(&before, found()));
        assert!(!conversation.miss_earlier(&before, AppError::Offline));
        assert_eq!(conversation.earlier.get_untracked(), Earlier::Loading);
        assert_eq!(keys(&conversation), keys_of(10..13));
    }

    #[test]
    fn a_question_that_was_asked_again_is_shown_once_wherever_the_earlier_ones_end() {
        let again = Message { repeats: true, ..message("t2", Role::User, "question") };
        let last = || vec![again.clone(), message("t2", Role::Assistant, "answer")];
        for (first, shown) in [
            (MessageState::Failed, vec!["person-t1", "agent-t2"]),
            (MessageState::Complete, vec!["person-t1", "agent-t1", "agent-t2"]),
        ] {
            let conversation = opened(last());
            assert_eq!(keys(&conversation), keys_of([2]), "nothing else says what was asked");
            let answer = Message { state: first, ..message("t1", Role::Assistant, "hm") };
            get(&conversation, vec![message("t1", Role::User, "question"), answer], false);
            assert_eq!(keys(&conversation), shown, "{first:?}");
            conversation.load(ChatPage { earlier: true, ..chat(last()) });
            assert_eq!(keys(&conversation), shown, "{first:?}, loaded again");
        }
    }

    #[test]
    fn a_question_that_was_asked_again_is_shown_once_between_two_batches() {
        let again = Message { repeats: true, ..message("t2", Role::User, "question") };
        let conversation = opened(turns([3]));
        get(&conversation, vec![again, message("t2", Role::Assistant, "answer")], true);
        assert_eq!(keys(&conversation), keys_of([2, 3]));
        get(&conversation, turns([1]), false);
        assert_eq!(keys(&conversation)[..3], ["person-t1", "agent-t1", "agent-t2"]);
    }
}
