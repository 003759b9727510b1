//! Where the person writes.

use leptos::either::Either;
use leptos::prelude::*;
use leptos::{ev, html};

use super::icon::{Icon, Sign};
use super::picker::Picker;
use crate::state::{Conversation, Page, Phase, actions, drafts};
use crate::thread;

const NO_SCRIPT: &str = "<p class=\"no-js\">Sending a message needs JavaScript. What is here can be \
    read without it.</p>";

#[component]
pub fn Composer(page: Page) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let running = Memo::new(move |_| page.current.get().turn.with(Option::is_some));
    keep_draft(page, field);

    let send = move || {
        let Some(field) = field.get_untracked() else { return };
        let chat = page.current.get_untracked();
        let text = field.value();
        let ready = *chat.phase.read_untracked() == Phase::Ready;
        if !ready || chat.turn.with_untracked(Option::is_some) || text.trim().is_empty() {
            return;
        }
        write(&field, "");
        actions::send(page, chat, &text);
        // The field has the focus whichever way the message was sent.
        field.focus().ok();
    };
    let on_key = move |event: ev::KeyboardEvent| {
        // An Enter that ends the writing of a character is not for us.
        let composing = event.is_composing() || event.key_code() == 229;
        if event.key() == "Enter" && !event.shift_key() && !composing {
            event.prevent_default();
            send();
        }
    };
    let on_input = move |_| {
        // Who writes will want to see what comes of it.
        thread::prefetch(page);
        if let Some(field) = field.get_untracked() {
            let chat = page.current.get_untracked().id.get_untracked();
            drafts::set(chat.as_deref(), &field.value());
            grow(&field);
        }
    };
    let press = move |event: ev::MouseEvent| {
        if !running.get_untracked() {
            send();
        } else if event.detail() < 2 {
            // The second click of a double click on Send was not meant to stop.
            actions::stop(page, page.current.get_untracked());
        }
    };
    let name = move || if running.get() { "Stop response" } else { "Send message" };
    let hint = move || {
        if running.get() {
            Either::Left(view! { <kbd>"Esc"</kbd> " stops the answer; then you can send" })
        } else {
            Either::Right(
                view! { <kbd>"Enter"</kbd> " sends, " <kbd>"Shift Enter"</kbd> " begins a new line" },
            )
        }
    };
    view! {
        <div class="composer">
            <noscript inner_html=NO_SCRIPT></noscript>
            <textarea
                node_ref=field
                id="message"
                class="needs-js"
                rows="1"
                aria-label="Message input"
                placeholder="Ask the agent to inspect files, run commands, or explain results…"
                enterkeyhint="send"
                autocomplete="off"
                on:focus=move |_| thread::prefetch(page)
                on:keydown=on_key
                on:input=on_input
            ></textarea>
            <div class="bar needs-js">
                <Picker page />
                <span class="hint">{hint}</span>
                <button
                    type="button"
                    class=move || if running.get() { "stop" } else { "send" }
                    aria-label=name
                    title=name
                    on:click=press
                >
                    {move || {
                        let sign = if running.get() { Sign::Square } else { Sign::Up };
                        view! { <Icon sign /> }
                    }}
                </button>
            </div>
        </div>
    }
}

/// Brings back what was typed: with the page, with another chat, and when a message was refused.
fn keep_draft(page: Page, field: NodeRef<html::Textarea>) {
    Effect::new(move |before: Option<Conversation>| {
        let chat = page.current.get();
        let Some(field) = field.get() else { return chat };
        let id = chat.id.get_untracked();
        match &before {
            // Typed before the page was alive: newer than any draft.
            None if !field.value().is_empty() => drafts::set(id.as_deref(), &field.value()),
            Some(before) if *before == chat => {}
            _ => {
                let on_its_way =
                    chat.turn.with_untracked(|turn| turn.as_ref().map(|t| t.id.clone()));
                let on_its_way = on_its_way.and_then(|turn_id| chat.question(&turn_id));
                let draft = drafts::get(id.as_deref());
                write(&field, &drafts::offered(draft, on_its_way.as_deref()));
            }
        }
        if before != Some(chat.clone())
            && let Some(choice) = drafts::choice(id.as_deref())
        {
            chat.choose(choice);
        }
        chat
    });
    Effect::new(move |_| {
        let chat = page.current.get();
        let (Some(text), Some(field)) = (chat.returned.get(), field.get()) else { return };
        chat.returned.set(None);
        let text = drafts::rejoined(&text, &field.value());
        drafts::set(chat.id.get_untracked().as_deref(), &text);
        write(&field, &text);
    });
}

fn write(field: &web_sys::HtmlTextAreaElement, text: &str) {
    field.set_value(text);
    grow(field);
}

/// As high as its text, where the browser does not do it by itself.
fn grow(field: &web_sys::HtmlTextAreaElement) {
    if web_sys::css::supports_with_value("field-sizing", "content").unwrap_or(false) {
        return;
    }
    let style = web_sys::HtmlElement::style(field);
    // A height that can't be set leaves a field that scrolls.
    style.set_property("height", "auto").ok();
    style.set_property("height", &format!("{}px", field.scroll_height())).ok();
}
