//! One line above the composer: it speaks when there is something to say.

use leptos::prelude::*;

use crate::state::{Action, Conversation, Link, Page, Stage, actions};
use crate::words;

/// What the line says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    words: String,
    dot: &'static str,
    bad: bool,
    button: Option<Button>,
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
            Self::Act(Action::Reopen | Action::Follow) => "Try again",
        }
    }
}

#[component]
pub fn Strip(page: Page) -> impl IntoView {
    let said = Memo::new(move |_| said(page, &page.current.get()));
    // A screen reader hears what changed, but not every second.
    let kind = Memo::new(move |_| {
        said.with(|said| {
            said.as_ref().map(|said| said.words.replace(|c: char| c.is_ascii_digit(), ""))
        })
    });
    Effect::new(move |_| {
        if kind.with(Option::is_some)
            && let Some(said) = said.get_untracked()
        {
            page.announce(said.words);
        }
    });
    let press = move |button| {
        let chat = page.current.get_untracked();
        match button {
            Button::Reconnect => actions::reconnect(page, &chat),
            Button::Act(action) => actions::act(page, &chat, action),
        }
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
            </div>
        }
    };
    move || said.get().map(show)
}

/// One thing at a time, the most pressing first.
fn said(page: Page, chat: &Conversation) -> Option<Said> {
    let line = |words: String, dot, bad, button| Some(Said { words, dot, bad, button });
    if !page.online.get() {
        let words = "You are offline. The answer goes on without you and is caught up later.";
        return line(words.into(), "dot failed", false, None);
    }
    if let Some(notice) = chat.notice.get() {
        let dot = if notice.bad { "dot failed" } else { "dot live" };
        return line(notice.words, dot, notice.bad, notice.action.map(Button::Act));
    }
    let turn = chat.turn.get();
    match (&turn, chat.link.get()) {
        (Some(_), Link::Reconnecting { at }) => {
            let seconds = (at - page.clock.get() + 999).max(0) / 1000;
            let words = if seconds > 0 {
                format!("Connection lost. Reconnecting in {seconds} s.")
            } else {
                "Connection lost. Reconnecting…".into()
            };
            return line(words, "dot starting", false, Some(Button::Reconnect));
        }
        (Some(_), Link::Lost) => {
            let words = "The connection to the agent is lost.".into();
            return line(words, "dot failed", true, Some(Button::Reconnect));
        }
        _ => {}
    }
    match turn {
        Some(turn) if turn.stage == Stage::Provisioning => {
            let elapsed = words::elapsed(turn.since, page.clock.get().max(turn.since));
            line(format!("Starting the sandbox… {elapsed}"), "dot starting", false, None)
        }
        Some(turn) if turn.stage == Stage::Stopping => {
            line("Stopping…".into(), "dot starting", false, None)
        }
        Some(_) => match chat.link.get() {
            Link::CaughtUp { events: 0 } => {
                line("Reconnected. Nothing was missed.".into(), "dot live", false, None)
            }
            Link::CaughtUp { events } => {
                let events = words::count(events as usize, "event");
                line(format!("Reconnected. {events} caught up."), "dot live", false, None)
            }
            _ => None,
        },
        None => None,
    }
}
