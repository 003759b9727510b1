//! What the page knows, and keeps for as long as it lives.
//!
//! There is one [`Page`]. Its signals belong to the root of the application, and those of a
//! conversation are counted references, so that no task ever wakes up to a signal that is gone.

pub mod actions;
mod conversation;
pub mod drafts;
mod earlier;
mod groups;
mod message;
#[cfg(test)]
mod samples;

use leptos::prelude::*;

use crate::first::First;
use crate::model::{BalanceView, ChatPage, ChatSummary, Choice, Options, Permissions};
use crate::thread::Part;

pub use conversation::{Action, Conversation, Link, Notice, Phase, Stage, Turn, Wake};
pub use earlier::{Batch, Earlier};
pub use groups::by_day;
pub use message::{
    AgentMessage, Ask, Delivery, Ending, Entry, Prose, Run, Segment, Step, StepKind,
};

/// Where the address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    New,
    Chat(String),
    Unknown,
}

impl Place {
    pub fn of(path: &str) -> Self {
        let mut parts = path.trim_matches('/').split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(""), None, None) => Self::New,
            (Some("chat"), Some(id), None) if !id.is_empty() => Self::Chat(id.to_owned()),
            _ => Self::Unknown,
        }
    }
}

/// The page's state.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub chats: RwSignal<Vec<ChatSummary>>,
    /// The list could not be loaded: that it is empty says nothing.
    pub chats_failed: RwSignal<bool>,
    pub balance: RwSignal<Option<BalanceView>>,
    /// What a message can be sent to.
    pub options: RwSignal<Option<Options>>,
    /// Agent and model are being chosen.
    pub choosing: RwSignal<bool>,
    /// The conversation that is shown.
    pub current: RwSignal<Conversation>,
    /// All that have been opened since the page came, and go on in the background.
    known: StoredValue<Vec<Conversation>>,
    /// Milliseconds since the Unix epoch, moved on while something is counted.
    pub clock: RwSignal<i64>,
    /// What to add to a time for the person's time zone; 0 until the page runs.
    pub zone_ms: RwSignal<i64>,
    pub online: RwSignal<bool>,
    pub drawer: RwSignal<bool>,
    /// The chat whose deletion is to be confirmed.
    pub deleting: RwSignal<Option<ChatSummary>>,
    /// What a screen reader says next.
    pub announcement: RwSignal<String>,
    /// An address to go to, and whether it takes the place of the present one.
    pub destination: RwSignal<Option<(String, bool)>>,
    /// What shows and follows conversations, as far as it is loaded.
    pub thread: RwSignal<Part>,
}

impl Page {
    pub fn new() -> Self {
        Self {
            chats: RwSignal::new(Vec::new()),
            chats_failed: RwSignal::new(false),
            balance: RwSignal::new(None),
            options: RwSignal::new(None),
            choosing: RwSignal::new(false),
            current: RwSignal::new(Conversation::unborn()),
            known: StoredValue::new(Vec::new()),
            clock: RwSignal::new(0),
            zone_ms: RwSignal::new(0),
            online: RwSignal::new(true),
            drawer: RwSignal::new(false),
            deleting: RwSignal::new(None),
            announcement: RwSignal::new(String::new()),
            destination: RwSignal::new(None),
            thread: RwSignal::new(Part::Away),
        }
    }

    /// Takes what came with the first page.
    pub fn seed(self, place: Place, first: First) {
        self.clock.set(first.now);
        self.chats_failed.set(first.chats.is_err());
        self.chats.set(first.chats.unwrap_or_default());
        self.balance.set(first.balance.ok());
        self.options.set(first.options.ok());
        let conversation = match place {
            Place::New => Conversation::unborn(),
            Place::Unknown => Conversation::missing(),
            Place::Chat(id) => Conversation::loading(id),
        };
        match first.chat {
            Some(Ok(chat)) => self.show(&conversation, chat),
            Some(Err(error)) => conversation.fail(error),
            None => {}
        }
        self.keep(&conversation);
        self.current.set(conversation);
    }

    /// Fills a conversation with what the server has of it.
    pub fn show(self, conversation: &Conversation, chat: ChatPage) {
        self.upsert(chat.summary.clone());
        conversation.load(chat);
    }

    /// The page's only signal of a conversation that has an id.
    pub fn find(self, id: &str) -> Option<Conversation> {
        self.known.with_value(|known| {
            known.iter().find(|chat| chat.id.read_untracked().as_deref() == Some(id)).cloned()
        })
    }

    /// A new chat whose first message the server has not taken yet.
    pub fn unborn(self) -> Option<Conversation> {
        let unborn = |chat: &&Conversation| {
            chat.id.with_untracked(Option::is_none) && chat.turn.with_untracked(Option::is_some)
        };
        self.known.with_value(|known| known.iter().find(unborn).cloned())
    }

    pub fn keep(self, conversation: &Conversation) {
        self.known.update_value(|known| {
            if !known.contains(conversation) {
                known.push(conversation.clone());
            }
        });
    }

    pub fn forget(self, conversation: &Conversation) {
        self.known.update_value(|known| known.retain(|chat| chat != conversation));
    }

    /// Whether a turn goes on in any chat, be it that another page started it.
    pub fn is_busy(self) -> bool {
        self.chats.with_untracked(|chats| chats.iter().any(|chat| chat.running))
            || self.known.with_value(|known| {
                known.iter().any(|chat| chat.turn.with_untracked(Option::is_some))
            })
    }

    /// Puts a chat at the head of the list, or changes it where it stands.
    pub fn upsert(self, summary: ChatSummary) {
        self.chats.update(|chats| match chats.iter_mut().find(|chat| chat.id == summary.id) {
            Some(known) => *known = summary,
            None => chats.insert(0, summary),
        });
    }

    pub fn set_running(self, id: &str, running: bool) {
        let differs = |chat: &ChatSummary| chat.id == id && chat.running != running;
        if self.chats.with_untracked(|chats| chats.iter().any(differs)) {
            self.chats.update(|chats| {
                chats.iter_mut().filter(|chat| chat.id == id).for_each(|c| c.running = running);
            });
        }
    }

    /// What the next message of a conversation is sent to; none while nothing is known.
    pub fn choice(self, conversation: &Conversation) -> Option<Choice> {
        let chosen = conversation.choice.get();
        self.options.with(|options| {
            let options = options.as_ref()?;
            let usual = options.default.clone();
            Some(match chosen {
                Some(choice) if options.offers(&choice) => choice,
                // Whatever became of agent and model: who wants to be asked is asked.
                Some(choice) => Choice { permissions: choice.permissions, ..usual },
                None => usual,
            })
        })
    }

    /// What the agent may do with the next message of a conversation, be it that nothing else is known
    /// of what there is to choose. None: the server goes by what was before.
    pub fn permissions(self, conversation: &Conversation) -> Option<Permissions> {
        let chosen = conversation.choice.with(|choice| choice.as_ref().map(|it| it.permissions));
        let usual = || self.options.with(|it| it.as_ref().map(|it| it.default.permissions));
        chosen.or_else(usual)
    }

    /// Name of an agent, for people.
    pub fn agent_name(self, id: &str) -> String {
        self.options.with(|options| {
            let agent = options.as_ref().and_then(|options| options.agent(id));
            agent.map_or_else(|| id.to_owned(), |agent| agent.name.clone())
        })
    }

    pub fn announce(self, words: impl Into<String>) {
        self.announcement.update(|before| *before = said_anew(before, words.into()));
    }

    /// Title of the conversation that is shown.
    pub fn title(self) -> String {
        let chat = self.current.get();
        let id = chat.id.get();
        let title = id.and_then(|id| {
            self.chats.with(|chats| chats.iter().find(|c| c.id == id).map(|c| c.title.clone()))
        });
        title.unwrap_or_else(|| match chat.phase.get() {
            Phase::Missing => "Not found".into(),
            Phase::Loading => "Opening…".into(),
            _ => "New chat".into(),
        })
    }
}

/// The words, such that they differ from those before: a screen reader says only what changed. The
/// space that makes them differ is not heard.
fn said_anew(before: &str, words: String) -> String {
    if before == words { words + "\u{a0}" } else { words }
}

/// The page's state, anywhere below its root.
pub fn page() -> Page {
    use_context::<Page>().unwrap_or_else(Page::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_a_new_chat_to_a_chat_or_nowhere() {
        assert_eq!(Place::of("/"), Place::New);
        assert_eq!(Place::of("/chat/0190"), Place::Chat("0190".into()));
        assert_eq!(Place::of("/chat/0190/"), Place::Chat("0190".into()));
        for path in ["/chat", "/chat/", "/chat/a/b", "/settings"] {
            assert_eq!(Place::of(path), Place::Unknown, "{path}");
        }
    }

    #[test]
    fn what_an_agent_may_do_is_known_before_what_there_is_to_choose() {
        Owner::new().with(|| {
            let page = Page::new();
            let choice = |permissions| Choice { agent: "a".into(), model: "m".into(), permissions };
            let (fresh, chosen) = (Conversation::unborn(), Conversation::unborn());
            chosen.choose(choice(Permissions::AskFirst));
            let allowed = || [&fresh, &chosen].map(|chat| page.permissions(chat));
            assert_eq!(page.choice(&chosen), None);
            assert_eq!(allowed(), [None, Some(Permissions::AskFirst)]);
            let default = choice(Permissions::ReadOnly);
            page.options.set(Some(Options { agents: vec![], models: vec![], default }));
            assert_eq!(allowed(), [Some(Permissions::ReadOnly), Some(Permissions::AskFirst)]);
        });
    }

    #[test]
    fn the_same_words_twice_are_two_announcements() {
        let heard = Owner::new().with(|| {
            let page = Page::new();
            [(); 3].map(|()| {
                page.announce("Copied.");
                page.announcement.get_untracked()
            })
        });
        assert!(heard.iter().all(|words| words.trim() == "Copied."));
        assert!(heard[0] != heard[1] && heard[1] != heard[2]);
    }
}
