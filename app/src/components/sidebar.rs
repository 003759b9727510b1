//! The chats, and who the person is. On a phone it is a drawer.

use leptos::prelude::*;

use super::account::Account;
use super::chat_list::ChatList;
use super::icon::{Icon, Sign};
use crate::browser;
use crate::state::Page;

#[component]
pub fn Sidebar(page: Page) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let drawer = page.drawer;
    let shortcut = RwSignal::new("Ctrl K");
    Effect::new(move |_| shortcut.set(browser::command_key()));
    let modal = move || drawer.get().then_some("true");
    view! {
        <aside
            class="sidebar"
            id="sidebar"
            role=move || drawer.get().then_some("dialog")
            aria-modal=modal
            aria-label="Skein"
            on:click=move |event| browser::follow_link(page, &event)
        >
            <div class="brand">
                <a href="/" prop:replace=drawer>
                    <img src="/favicon.svg" alt="" width="20" height="20" />
                    "Skein"
                </a>
                <button
                    type="button"
                    id="close-menu"
                    class="quiet close needs-js"
                    aria-label="Close"
                    on:click=move |_| browser::close_drawer(page)
                >
                    <Icon sign=Sign::Close />
                </button>
            </div>
            <a
                id="new-chat"
                class="new-chat"
                href="/"
                aria-keyshortcuts="Control+K Meta+K"
                prop:replace=drawer
            >
                <Icon sign=Sign::Plus />
                "New chat"
                <kbd class="needs-js" aria-hidden="true">
                    {shortcut}
                </kbd>
            </a>
            <nav aria-label="Chats">
                <label class="search needs-js">
                    <Icon sign=Sign::Search />
                    <input
                        type="search"
                        aria-label="Search titles"
                        placeholder="Search titles"
                        autocomplete="off"
                        on:input=move |event| search.set(event_target_value(&event))
                    />
                </label>
                <ChatList page search />
            </nav>
            <Account page />
        </aside>
    }
}
