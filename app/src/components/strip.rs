//! One line above the composer: it speaks when there is something to say.

use leptos::prelude::*;

use super::icon::{Icon, Sign};
use crate::browser;
use crate::state::{Action, Conversation, Link, Notice, Page, Stage, Turn, actions};
use crate::words;

/// What the line says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    words: String,
    dot: &'static str,
    bad: bool,
    button: Option<Button>,
    /// The person may put it away.
    dismissible: bool,
    /// What is read out, where that is more than the words.
    aloud: Option<String>,
}

impl Said {
    fn new(words: impl Into<String>, dot: &'static str) -> Self {
        let words = words.into();
        Self { words, dot, bad: false, button: None, dismissible: false, aloud: None }
    }

    /// The agent has asked this.
    fn waiting(asked: String) -> Self {
        let aloud = Some(format!("The agent asks: {asked}"));
        Self { aloud, ..Self::new("Waiting for your answer", "dot live") }
    }

    fn aloud(&self) -> &str {
        self.aloud.as_ref().unwrap_or(&self.words)
    }

    fn notice(notice: &Notice) -> Self {
        Self {
            words: notice.words.clone(),
            dot: if notice.bad { "dot failed" } else { "dot live" },
            bad: notice.bad,
            button: notice.action.map(Button::Act),
            dismissible: true,
            aloud: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Button {
    Reconnect,
    Act(Action),
}

impl Button {
    fn name(self) -> &'static str {
        match self {
            Self::Reconnect => "Reconnect now",
            Self::Act(Action::ReloadPage) => "Reload the page",
            Self::Act(Action::Reopen | Action::Follow | Action::LoadThread) => "Try again",
        }
    }
}

#[component]
pub fn Strip(page: Page) -> impl IntoView {
    let said = Memo::new(move |_| said(page, &page.current.get()));
    // A screen reader hears what changed, but not every second.
    let kind = Memo::new(move |_| {
        said.with(|said| {
            said.as_ref().map(|said| match &said.aloud {
                Some(aloud) => aloud.clone(),
                None => said.words.replace(|c: char| c.is_ascii_digit(), ""),
            })
        })
    });
    Effect::new(move |_| {
        if kind.with(Option::is_some)
            && let Some(said) = said.get_untracked()
        {
            page.announce(said.aloud());
        }
    });
    let press = move |button| {
        let chat = page.current.get_untracked();
        match button {
            Button::Reconnect => actions::reconnect(page, &chat),
            Button::Act(action) => actions::act(page, &chat, action),
        }
        // The button may go with what it was for.
        browser::focus_conversation();
    };
    let dismiss = move |_| {
        page.current.get_untracked().notice.set(None);
        browser::focus_conversation();
    };
    let show = move |said: Said| {
        view! {
            <div class="strip" class:bad=said.bad>
                <span class=said.dot></span>
                <span class="number">{said.words}</span>
                {said
                    .button
                    .map(|button| {
                        view! {
                            <button type="button" class="button" on:click=move |_| press(button)>
                                {button.name()}
                            </button>
                        }
                    })}
                {said
                    .dismissible
                    .then(|| {
                        view! {
                            <button
                                type="button"
                                class="quiet"
                                aria-label="Dismiss"
                                title="Dismiss"
                                on:click=dismiss
                            >
                                <Icon sign=Sign::Close />
                            </button>
                        }
                    })}
            </div>
        }
    };
    move || said.get().map(show)
}

/// One thing at a time, the most pressing first: what waits for the person, then how the connection
/// is, then what else there is to know.
fn said(page: Page, chat: &Conversation) -> Option<Said> {
    let turn = chat.turn.get();
    if !page.online.get() {
        return Some(Said::new(offline(turn.as_ref()), "dot failed"));
    }
    let notice = chat.notice.get();
    if let Some(notice) = notice.as_ref().filter(|notice| notice.action.is_some()) {
        return Some(Said::notice(notice));
    }
    let trouble = turn.is_some().then(|| trouble(page, chat.link.get())).flatten();
    let waiting = || match chat.asks() {
        Some(_) if turn.as_ref().is_none_or(Turn::is_stopping) => None,
        asked => asked.map(Said::waiting),
    };
    trouble
        .or_else(|| notice.as_ref().filter(|notice| notice.bad).map(Said::notice))
        .or_else(waiting)
        .or_else(|| notice.as_ref().map(Said::notice))
        .or_else(|| turn.and_then(|turn| progress(page, &turn, chat.link.get())))
}

/// What becomes of a turn without a network: what has left the browser goes on, nothing else does.
fn offline(turn: Option<&Turn>) -> &'static str {
    match turn {
        Some(turn) if turn.is_stopping() => {
            "You are offline. The answer is stopped as soon as you are back."
        }
        Some(turn) if turn.stage == Stage::Sending => {
            "You are offline. Your message is kept here and sent when you are back."
        }
        Some(_) => "You are offline. The answer goes on without you and is caught up later.",
        None => "You are offline. What you write is kept until you are back.",
    }
}

/// What is wrong with the connection to the agent.
fn trouble(page: Page, link: Link) -> Option<Said> {
    let said = match link {
        Link::Reconnecting { at } => {
            let seconds = (at - page.clock.get() + 999).max(0) / 1000;
            if seconds > 0 {
                let words = format!("Connection lost. Reconnecting in {seconds} s.");
                Said::new(words, "dot starting")
            } else {
                Said::new("Connection lost. Reconnecting…", "dot starting")
            }
        }
        Link::Lost => {
            Said { bad: true, ..Said::new("The connection to the agent is lost.", "dot failed") }
        }
        _ => return None,
    };
    Some(Said { button: Some(Button::Reconnect), ..said })
}

/// How far a turn is that has nothing to show yet, or has been caught up.
fn progress(page: Page, turn: &Turn, link: Link) -> Option<Said> {
    if turn.is_stopping() {
        return Some(Said::new("Stopping…", "dot starting"));
    }
    if turn.stage == Stage::Provisioning {
        let elapsed = words::elapsed(turn.since, page.clock.get().max(turn.since));
        return Some(Said::new(format!("Starting the sandbox… {elapsed}"), "dot starting"));
    }
    match link {
        Link::CaughtUp { events: 0 } => {
            Some(Said::new("Reconnected. Nothing was missed.", "dot live"))
        }
        Link::CaughtUp { events } => {
            let events = words::count(events as usize, "event");
            Some(Said::new(format!("Reconnected. {events} caught up."), "dot live"))
        }
        _ => None,
    }
}
