//! Where the messages stand. What shows them is loaded when it is needed, and takes over those that
//! came with the page.

use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::{ev, html};
use send_wrapper::SendWrapper;

use crate::state::{Action, Conversation, Notice, Page};
use crate::thread::{self, Part, Shown};

const MISSING: &str = "Part of the page could not be loaded.";
const GONE: &str = "Part of the page can't be loaded. Reload the page; nothing is lost.";

#[component]
pub fn ThreadView(page: Page, chat: Conversation) -> impl IntoView {
    let place = NodeRef::<html::Div>::new();
    // Pressed before it could do anything.
    let pressed = StoredValue::new(None::<SendWrapper<web_sys::HtmlElement>>);
    let shown = StoredValue::new(None::<SendWrapper<Shown>>);
    let changes = changes(page, &chat);
    let html = thread::html(page, &chat);
    // Once it is there it stays, and with it what it shows: nothing here runs again.
    Effect::new(move |before: Option<()>| {
        let Some(place) = place.get() else { return };
        match page.thread.get() {
            Part::Away => thread::prefetch(page),
            // What failed for another conversation, or long ago.
            Part::Missing { .. } if before.is_none() => thread::retry(page),
            Part::Loading { .. } => {}
            Part::Missing { failures } => {
                // What it would do by the time it could be done, nobody wants any more.
                pressed.set_value(None);
                // Without a network the page can't be loaded again, either.
                let gone = failures >= thread::GONE_AFTER && page.online.get_untracked();
                complain(&chat, gone);
            }
            Part::Here(thread) => {
                chat.unsay(MISSING);
                chat.unsay(GONE);
                // What came with the page is of no use once it is not what is to be shown.
                if changes.get_untracked() > 0 {
                    place.set_text_content(None);
                }
                let messages = untrack(|| (thread.show)(page, chat.clone(), &place));
                shown.set_value(Some(SendWrapper::new(messages)));
                if let Some(button) = pressed.try_update_value(Option::take).flatten() {
                    button.click();
                }
            }
        }
    });
    // The next conversation has the same place, and does not begin with what this one leaves there.
    on_cleanup(move || {
        drop(shown.try_update_value(Option::take));
        if let Some(Some(place)) = place.try_get_untracked() {
            place.set_text_content(None);
        }
    });
    let on_click = move |event: ev::MouseEvent| {
        if !matches!(page.thread.get_untracked(), Part::Here(_)) {
            let target = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
            // Code is copied without what is loaded.
            let button = target.and_then(|it| it.closest("button:not([data-copy])").ok().flatten());
            let button = button.and_then(|button| button.dyn_into().ok());
            pressed.set_value(button.map(SendWrapper::new));
        }
    };
    let instead = move || {
        let empty = |place: web_sys::HtmlDivElement| place.first_element_child().is_none();
        let words = match page.thread.get() {
            Part::Loading { .. } => "Opening the chat…",
            Part::Missing { .. } => "The chat can't be shown yet.",
            Part::Away | Part::Here(_) => return None,
        };
        place.get().is_some_and(empty).then_some(words)
    };
    view! {
        <div class="messages" node_ref=place inner_html=html on:click=on_click></div>
        {move || instead().map(|words| view! { <p class="loading">{words}</p> })}
    }
}

/// How often that which the messages are made of has changed. To be read before anything does.
fn changes(page: Page, chat: &Conversation) -> Memo<u32> {
    let chat = chat.clone();
    let changes = Memo::new(move |before: Option<&u32>| {
        chat.entries.track();
        chat.before.track();
        chat.earlier.track();
        chat.turn.track();
        page.options.track();
        before.map_or(0, |before| before + 1)
    });
    changes.get_untracked();
    changes
}

/// Says it, unless something else is being said.
fn complain(chat: &Conversation, gone: bool) {
    chat.unsay(MISSING);
    if chat.notice.with_untracked(Option::is_some) {
        return;
    }
    let (words, action) =
        if gone { (GONE, Action::ReloadPage) } else { (MISSING, Action::LoadThread) };
    chat.notice.set(Some(Notice { words: words.into(), bad: true, action: Some(action) }));
}
