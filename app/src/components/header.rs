//! Above the conversation: its title and the state of its sandbox.

use leptos::prelude::*;

use super::icon::{Icon, Sign};
use crate::browser;
use crate::model::SandboxState;
use crate::state::{Page, Phase, Stage};
use crate::words;

#[component]
pub fn Header(page: Page) -> impl IntoView {
    let sandbox = Memo::new(move |_| {
        let chat = page.current.get();
        let provisioning = chat
            .turn
            .with(|turn| turn.as_ref().is_some_and(|turn| turn.stage == Stage::Provisioning));
        let state = if provisioning { SandboxState::Provisioning } else { chat.sandbox.get() };
        words::sandbox(state)
    });
    // Of a chat that is not open nothing is known of a sandbox.
    let unknown = move || page.current.get().phase.get() != Phase::Ready;
    view! {
        <header class="top">
            <button
                type="button"
                id="open-menu"
                class="quiet menu needs-js"
                aria-label="Open the chats"
                aria-expanded=move || page.drawer.get().to_string()
                aria-controls="sidebar"
                on:click=move |_| browser::open_drawer(page)
            >
                <Icon sign=Sign::Menu />
            </button>
            <h1>{move || page.title()}</h1>
            <span class="chip" role="status" aria-label="Sandbox" hidden=unknown>
                <span class=move || sandbox.get().1></span>
                {move || sandbox.get().0}
            </span>
        </header>
    }
}
