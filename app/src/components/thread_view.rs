//! Where the messages stand. What shows them is loaded when it is needed, and takes over those that
//! came with the page.

use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::{ev, html};

use crate::state::{Action, Conversation, Notice, Page};
use crate::thread::{self, Part, Shown};

const MISSING: &str = "Part of the page could not be loaded. What is shown here stays as it is.";

#[component]
pub fn ThreadView(page: Page, chat: Conversation) -> impl IntoView {
    let place = NodeRef::<html::Div>::new();
    // Pressed before it could do anything.
    let pressed = StoredValue::new_local(None::<web_sys::HtmlElement>);
    let changes = changes(page, &chat);
    let html = thread::html(page, &chat);
    // Once it is there it stays, and with it what it shows: nothing here runs again.
    Effect::new(move |_: Option<Option<Shown>>| {
        let place = place.get()?;
        match page.thread.get() {
            Part::Away => thread::prefetch(page),
            Part::Loading => {}
            Part::Missing => complain(&chat),
            Part::Here(thread) => {
                chat.unsay(MISSING);
                // What came with the page is of no use once it is not what is to be shown.
                if changes.get_untracked() > 0 {
                    place.set_text_content(None);
                }
                let shown = untrack(|| (thread.show)(page, chat.clone(), &place));
                if let Some(button) = pressed.try_update_value(Option::take).flatten() {
                    button.click();
                }
                return Some(shown);
            }
        }
        None
    });
    // The next conversation has the same place, and does not begin with what this one leaves there.
    on_cleanup(move || {
        if let Some(Some(place)) = place.try_get_untracked() {
            place.set_text_content(None);
        }
    });
    let on_click = move |event: ev::MouseEvent| {
        if !matches!(page.thread.get_untracked(), Part::Here(_)) {
            let target = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
            // Code is copied without what is loaded.
            let button = target.and_then(|it| it.closest("button:not([data-copy])").ok().flatten());
            pressed.set_value(button.and_then(|button| button.dyn_into().ok()));
        }
    };
    let waits = move || {
        let empty = |place: web_sys::HtmlDivElement| place.first_element_child().is_none();
        matches!(page.thread.get(), Part::Loading) && place.get().is_some_and(empty)
    };
    view! {
        <div class="messages" node_ref=place inner_html=html on:click=on_click></div>
        {move || waits().then(|| view! { <p class="loading">"Opening the chat…"</p> })}
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

fn complain(chat: &Conversation) {
    let action = Some(Action::LoadThread);
    chat.notice.set(Some(Notice { words: MISSING.into(), bad: true, action }));
}
