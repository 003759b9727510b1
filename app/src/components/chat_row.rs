//! One chat in the list: a link, and what can be done to it.

use leptos::either::Either;
use leptos::prelude::*;
use leptos::{ev, html};

use super::icon::{Icon, Sign};
use crate::browser;
use crate::model::ChatSummary;
use crate::state::{Page, actions};

#[component]
pub fn ChatRow(page: Page, chat: ChatSummary) -> impl IntoView {
    let renaming = RwSignal::new(false);
    let id = StoredValue::new(chat.id.clone());
    // The row stays when the chat changes, and with it the focus that it may have.
    let chat = Memo::new(move |before: Option<&ChatSummary>| {
        let known =
            page.chats.with(|chats| chats.iter().find(|known| known.id == chat.id).cloned());
        known.unwrap_or_else(|| before.unwrap_or(&chat).clone())
    });
    let title = move || chat.with(|chat| chat.title.clone());
    let current =
        move || page.current.get().id.get().is_some_and(|open| id.with_value(|id| *id == open));
    // What the agent asks is known of chats that were opened here.
    let mark = move || {
        let running = chat.with(|chat| chat.running);
        let asks = running && id.with_value(|id| page.find(id)?.asks()).is_some();
        match (running, asks) {
            (_, true) => Some(("dot starting", "waiting for your answer")),
            (true, false) => Some(("dot live", "running")),
            (false, false) => None,
        }
    };
    let link = move || {
        view! {
            <a
                href=id.with_value(|id| format!("/chat/{id}"))
                aria-current=move || current().then_some("page")
                prop:replace=page.drawer
            >
                <span>{title}</span>
                {move || {
                    let (class, name) = mark()?;
                    Some(view! { <i class=class role="img" aria-label=name></i> })
                }}
            </a>
            <span class="actions needs-js">
                <button
                    type="button"
                    class="quiet"
                    aria-label=move || format!("Rename {}", title())
                    title="Rename"
                    on:click=move |_| renaming.set(true)
                >
                    <Icon sign=Sign::Pen />
                </button>
                <button
                    type="button"
                    class="quiet"
                    aria-label=move || format!("Delete {}", title())
                    title="Delete"
                    on:click=move |_| page.deleting.set(Some(chat.get_untracked()))
                >
                    <Icon sign=Sign::Bin />
                </button>
            </span>
        }
    };
    view! {
        <li class="chat-row">
            {move || {
                if renaming.get() {
                    Either::Left(view! { <Rename page chat=chat.get_untracked() renaming /> })
                } else {
                    Either::Right(link())
                }
            }}
        </li>
    }
}

/// The title as a field. Enter and leaving keep what was typed, Escape does not.
#[component]
fn Rename(page: Page, chat: ChatSummary, renaming: RwSignal<bool>) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    let (id, title) = (chat.id.clone(), chat.title.clone());
    let keep = move || {
        // Removing the field takes the focus from it, which asks again.
        if renaming.get_untracked() {
            let title = field.get_untracked().map(|field| field.value());
            renaming.set(false);
            if let Some(title) = title {
                actions::rename(page, chat.clone(), &title);
            }
        }
    };
    let keep_on_enter = keep.clone();
    let on_key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        // A key that ends the writing of a character is not for us.
        _ if event.is_composing() || event.key_code() == 229 => {}
        "Enter" => {
            keep_on_enter();
            browser::focus_chat(&id);
        }
        "Escape" => {
            event.prevent_default();
            renaming.set(false);
            browser::focus_chat(&id);
        }
        _ => {}
    };
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            // A field that is on the page takes the focus.
            field.focus().ok();
            field.select();
        }
    });
    view! {
        <input
            node_ref=field
            class="rename"
            type="text"
            aria-label="Title"
            maxlength="200"
            value=title
            on:keydown=on_key
            on:blur=move |_| keep()
        />
    }
}
