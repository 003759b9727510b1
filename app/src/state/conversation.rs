//! One chat as the page knows it. Clones are the same conversation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc::UnboundedSender;
use leptos::prelude::*;

use super::earlier::{self, Batch, Earlier};
use super::message::{AgentMessage, Entry};
use crate::error::AppError;
use crate::model::{ChatPage, Choice, SandboxState, TurnOutcome, TurnState};

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

/// Why the task that follows a turn should look up.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "said by the stream only"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The stream said that the turn has ended.
    Done,
    /// The stream is lost, and does not come back by itself.
    Lost,
    /// Connect at once.
    Reconnect,
    /// Nobody needs to follow any more.
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Loading,
    Ready,
    Missing,
    Failed(AppError),
}

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
    fn follow_choice(&self, last: Option<Choice>) {
        let chosen = self.hidden.chosen.load(Ordering::Relaxed);
        if !chosen && last.is_some() && *self.choice.read_untracked() != last {
            self.choice.set(last);
        }
    }

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

    /// Gives the task that follows the turn a way to be woken. The one before it leaves.
    pub fn set_follower(&self, follower: UnboundedSender<Wake>) {
        self.wake(Wake::Leave);
        *lock(&self.hidden.follower) = Some(follower);
    }

    pub fn has_follower(&self) -> bool {
        lock(&self.hidden.follower).as_ref().is_some_and(|follower| !follower.is_closed())
    }

    pub fn wake(&self, why: Wake) {
        if let Some(follower) = lock(&self.hidden.follower).as_ref() {
            // A follower that has left needs no waking.
            follower.unbounded_send(why).ok();
        }
    }

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

    /// What is shown is as new as this, by the server's clock.
    pub fn saw(&self, updated_at: i64) {
        let mut seen = lock(&self.hidden.seen_at);
        *seen = updated_at.max(*seen);
    }

    /// Whether the chat has changed since what is shown.
    pub fn is_older_than(&self, updated_at: i64) -> bool {
        *lock(&self.hidden.seen_at) < updated_at
    }

    pub fn complain(&self, error: &AppError) {
        let action = match error {
            AppError::Unauthenticated | AppError::Outdated => Some(Action::ReloadPage),
            _ => None,
        };
        self.notice.set(Some(Notice { words: error.to_string(), bad: true, action }));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Credits, Message, MessageState, Permissions, Receipt, Role};
    use crate::state::samples::{chat, message};

    fn keys(conversation: &Conversation) -> Vec<String> {
        conversation.entries.get_untracked().iter().map(Entry::key).collect()
    }

    #[test]
    fn a_message_keeps_its_place_from_sent_to_settled() {
        let conversation = Conversation::unborn();
        conversation.begin("t1", "hello", false, 0);
        let before = keys(&conversation);
        conversation.settle(TurnOutcome {
            message: message("t1", Role::Assistant, "hi"),
            balance: Credits(0),
            error: None,
        });
        assert_eq!(keys(&conversation), before);
        assert_eq!(conversation.turn.get_untracked(), None);
        conversation.load(chat(vec![
            message("t1", Role::User, "hello"),
            message("t1", Role::Assistant, "hi"),
        ]));
        assert_eq!(keys(&conversation), before);
    }

    #[test]
    fn a_message_that_was_refused_is_taken_back_whole() {
        let conversation = Conversation::unborn();
        conversation.begin("t1", "hello", false, 0);
        conversation.take_back("t1");
        assert!(keys(&conversation).is_empty());
        assert_eq!(conversation.turn.get_untracked(), None);
    }

    #[test]
    fn a_question_that_is_asked_again_is_shown_once_and_a_failed_answer_makes_room() {
        let ended = |first: MessageState, charged: i64| {
            let conversation = Conversation::loading("c".into());
            let receipt = Receipt {
                agent: "demo".into(),
                model: "demo".into(),
                input_tokens: 1,
                cached_tokens: 0,
                output_tokens: 1,
                charged: Credits(charged),
                duration_ms: 1,
            };
            let answer = message("t1", Role::Assistant, "hm");
            let answer = Message { state: first, receipt: Some(receipt), ..answer };
            let again = Message { repeats: true, ..message("t2", Role::User, "hello") };
            let answers = [answer, again, message("t2", Role::Assistant, "hi")];
            conversation
                .load(chat([vec![message("t1", Role::User, "hello")], answers.into()].concat()));
            assert_eq!(conversation.question("t2").as_deref(), Some("hello"), "to ask once more");
            conversation.shown().iter().map(Entry::key).collect::<Vec<_>>()
        };
        for first in [MessageState::Failed, MessageState::Interrupted] {
            assert_eq!(ended(first, 0), ["person-t1", "agent-t2"], "{first:?}");
        }
        // What was paid for stays.
        for first in [MessageState::Complete, MessageState::Stopped, MessageState::Failed] {
            assert_eq!(ended(first, 1), ["person-t1", "agent-t1", "agent-t2"], "{first:?}");
        }
    }

    #[test]
    fn a_retry_that_is_taken_back_leaves_the_failed_answer_where_it_was() {
        let conversation = Conversation::loading("c".into());
        let failed =
            Message { state: MessageState::Failed, ..message("t1", Role::Assistant, "hm") };
        conversation.load(chat(vec![message("t1", Role::User, "hello"), failed]));
        let shown = || conversation.shown().iter().map(Entry::key).collect::<Vec<_>>();
        conversation.begin("t2", "hello", true, 0);
        assert_eq!(shown(), ["person-t1", "agent-t2"]);
        conversation.take_back("t2");
        assert_eq!(shown(), ["person-t1", "agent-t1"]);
    }

    #[test]
    fn the_same_text_sent_again_is_the_same_turn_until_it_has_arrived() {
        let conversation = Conversation::unborn();
        let mut next = 0;
        let mut fresh = || {
            next += 1;
            next.to_string()
        };
        assert_eq!(conversation.turn_id_for("a", &mut fresh), "1");
        assert_eq!(conversation.turn_id_for("a", &mut fresh), "1");
        assert_eq!(conversation.turn_id_for("b", &mut fresh), "2");
        conversation.was_sent();
        assert_eq!(conversation.turn_id_for("b", &mut fresh), "3");
    }

    #[test]
    fn a_turn_that_is_being_stopped_does_not_run_again() {
        let conversation = Conversation::unborn();
        conversation.begin("t1", "hello", false, 0);
        conversation.set_stage("t1", Stage::Stopping, 1);
        conversation.set_stage("t1", Stage::Running, 2);
        assert_eq!(conversation.turn.get_untracked().unwrap().stage, Stage::Stopping);
        conversation.set_stage("other", Stage::Running, 2);
        assert_eq!(conversation.turn.get_untracked().unwrap().since, 1);
    }

    #[test]
    fn a_stop_that_failed_lets_its_own_turn_go_on_and_no_other() {
        let conversation = Conversation::unborn();
        let stage = || conversation.turn.get_untracked().unwrap().stage;
        conversation.begin("t1", "hello", false, 0);
        conversation.set_stage("t1", Stage::Stopping, 1);
        conversation.go_on("t1", Stage::Provisioning);
        assert_eq!(stage(), Stage::Provisioning);
        conversation.begin("t2", "again", false, 2);
        conversation.go_on("t1", Stage::Running);
        assert_eq!(stage(), Stage::Sending);
    }

    #[test]
    fn what_the_server_repeats_is_said_once_and_goes_when_it_is_over() {
        let conversation = Conversation::unborn();
        let said = || conversation.notice.get_untracked().map(|notice| notice.words);
        conversation.hear(Some("Away.".into()));
        assert_eq!(said().as_deref(), Some("Away."));
        conversation.notice.set(None);
        conversation.hear(Some("Away.".into()));
        assert_eq!(said(), None, "it was dismissed");
        conversation.hear(Some("Still away.".into()));
        conversation.hear(None);
        assert_eq!(said(), None);
        conversation.hear(Some("Away.".into()));
        conversation.say("Something else.");
        conversation.hear(None);
        assert_eq!(said().as_deref(), Some("Something else."));
    }

    #[test]
    fn a_chat_is_asked_for_again_only_when_it_has_changed() {
        let conversation = Conversation::loading("c".into());
        let mut page = chat(vec![]);
        page.summary.updated_at = 5;
        assert!(conversation.is_older_than(5));
        conversation.load(page);
        assert!(!conversation.is_older_than(5));
        let mut answer = message("t1", Role::Assistant, "hi");
        answer.created_at = 7;
        conversation.settle(TurnOutcome { message: answer, balance: Credits(0), error: None });
        assert!(!conversation.is_older_than(7) && conversation.is_older_than(8));
    }

    #[test]
    fn a_choice_follows_the_chat_unless_it_was_made_here_and_not_sent_yet() {
        let choice = |model: &str| Choice {
            agent: "a".into(),
            model: model.into(),
            permissions: Permissions::default(),
        };
        let conversation = Conversation::loading("c".into());
        let load = |model: &str| {
            conversation.load(ChatPage { choice: Some(choice(model)), ..chat(vec![]) });
            conversation.choice.get_untracked().unwrap().model
        };
        assert_eq!(load("first"), "first");
        assert_eq!(load("another tab's"), "another tab's");
        conversation.choose(choice("mine"));
        assert_eq!(load("another tab's"), "mine");
        conversation.choice_was_sent();
        assert_eq!(load("another tab's"), "another tab's");
    }
}
