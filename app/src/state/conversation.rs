//! One chat as the page knows it. Clones are the same conversation.

mod choice;
mod follower;
mod notice;
mod turn;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc::UnboundedSender;
use leptos::prelude::*;

use super::earlier::{self, Batch, Earlier};
use super::message::{AgentMessage, Entry};
use crate::error::AppError;
use crate::model::{ChatPage, Choice, SandboxState, TurnState};

pub use follower::Wake;
pub use notice::{Action, Notice};
pub use turn::{Stage, Turn};

#[derive(Clone, Debug)]
pub struct Conversation {
    /// None until its first message has been taken.
    pub id: ArcRwSignal<Option<String>>,
    pub phase: ArcRwSignal<Phase>,
    /// The last messages.
    pub entries: ArcRwSignal<Vec<Entry>>,
    /// Those before them, as far as they were asked for.
    pub before: ArcRwSignal<Vec<Batch>>,
    pub earlier: ArcRwSignal<Earlier>,
    /// The turn that goes on.
    pub turn: ArcRwSignal<Option<Turn>>,
    pub sandbox: ArcRwSignal<SandboxState>,
    /// Agent and model of the next message, as chosen here, or as they were last.
    pub choice: ArcRwSignal<Option<Choice>>,
    pub link: ArcRwSignal<Link>,
    pub notice: ArcRwSignal<Option<Notice>>,
    /// Text that could not be sent, on its way back into the composer.
    pub returned: ArcRwSignal<Option<String>>,
    hidden: Arc<Hidden>,
}

/// What no view depends on.
#[derive(Debug, Default)]
struct Hidden {
    /// Wakes the task that follows the turn.
    follower: Mutex<Option<UnboundedSender<Wake>>>,
    /// A message that may or may not have arrived: sent again, it keeps its turn.
    unsent: Mutex<Option<(String, String)>>,
    /// The choice was made here, and not sent yet.
    chosen: AtomicBool,
    /// The last words that the server had for the person, shown or dismissed.
    told: Mutex<Option<String>>,
    /// When the chat last changed, as far as it is shown; by the server's clock.
    seen_at: Mutex<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Loading,
    Ready,
    Missing,
    Failed(AppError),
}

/// The stream of a conversation's events.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "said by the stream only"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none, and none is needed.
    Idle,
    Live,
    /// Lost; the next try is at this time, in milliseconds since the epoch.
    Reconnecting {
        at: i64,
    },
    /// Back: this many events had been missed. Said for a while.
    CaughtUp {
        events: u64,
    },
    /// Given up, until somebody asks again.
    Lost,
}

impl PartialEq for Conversation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.hidden, &other.hidden)
    }
}

impl Conversation {
    fn new(id: Option<String>, phase: Phase) -> Self {
        Self {
            id: ArcRwSignal::new(id),
            phase: ArcRwSignal::new(phase),
            entries: ArcRwSignal::new(Vec::new()),
            before: ArcRwSignal::new(Vec::new()),
            earlier: ArcRwSignal::new(Earlier::Nothing),
            turn: ArcRwSignal::new(None),
            sandbox: ArcRwSignal::new(SandboxState::None),
            choice: ArcRwSignal::new(None),
            link: ArcRwSignal::new(Link::Idle),
            notice: ArcRwSignal::new(None),
            returned: ArcRwSignal::new(None),
            hidden: Arc::default(),
        }
    }

    /// A new chat, before its first message.
    pub fn unborn() -> Self {
        Self::new(None, Phase::Ready)
    }

    pub fn loading(id: String) -> Self {
        Self::new(Some(id), Phase::Loading)
    }

    pub fn missing() -> Self {
        Self::new(None, Phase::Missing)
    }

    pub fn fail(&self, error: AppError) {
        self.phase.set(match error {
            AppError::NotFound => Phase::Missing,
            error => Phase::Failed(error),
        });
    }

    /// Takes what the server has: a chat's last messages. Those that are shown already stay as they are,
    /// and so does all that is shown before them.
    pub fn load(&self, chat: ChatPage) {
        let known = self.entries.get_untracked();
        let first = chat.messages.first().map(|message| message.turn_id.as_str());
        let begins = known.iter().position(|entry| Some(entry.turn_id()) == first);
        if begins.is_none() {
            self.begin_anew(chat.earlier);
        }
        let (before, known) = known.split_at(begins.unwrap_or(0));
        let mut entries = [before, &earlier::entries(chat.messages, known)].concat();
        self.sandbox.set(chat.sandbox);
        self.saw(chat.summary.updated_at);
        self.follow_choice(chat.choice);
        if let Some(active) = chat.active {
            self.hear(active.notice);
            let live = earlier::answer(known, &active.turn_id);
            let live = live.unwrap_or_else(|| {
                let live = AgentMessage::live(active.turn_id.clone());
                live.show_waiting(&active.waiting);
                live
            });
            entries.push(Entry::Agent(live));
            let stage = match active.state {
                TurnState::Provisioning => Stage::Provisioning,
                _ => Stage::Running,
            };
            let (id, since) = (active.turn_id, active.started_at);
            self.turn.set(Some(Turn { id, stage, since, stop_wanted: false }));
        }
        self.entries.set(entries);
        self.phase.set(Phase::Ready);
    }

    /// The agent's message of a turn.
    pub fn answer(&self, turn_id: &str) -> Option<AgentMessage> {
        self.entries.with_untracked(|entries| earlier::answer(entries, turn_id))
    }

    /// What the agent waits for the person to say.
    pub fn asks(&self) -> Option<String> {
        let last = self.entries.with(|entries| match entries.last() {
            Some(Entry::Agent(message)) => Some(message.clone()),
            _ => None,
        });
        last.and_then(|message| message.asks())
    }

    /// What the person said in a turn.
    pub fn question(&self, turn_id: &str) -> Option<String> {
        self.entries.with_untracked(|entries| {
            entries.iter().find_map(|entry| match entry {
                Entry::Person { turn_id: id, text, .. } if id == turn_id => Some(text.clone()),
                _ => None,
            })
        })
    }

    /// What is shown is as new as this, by the server's clock.
    pub fn saw(&self, updated_at: i64) {
        let mut seen = lock(&self.hidden.seen_at);
        *seen = updated_at.max(*seen);
    }

    /// Whether the chat has changed since what is shown.
    pub fn is_older_than(&self, updated_at: i64) -> bool {
        *lock(&self.hidden.seen_at) < updated_at
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
