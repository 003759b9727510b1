//! The conversation. It stays at its end while it grows, until the reader scrolls up.

use leptos::either::EitherOf5;
use leptos::prelude::*;
use leptos::wasm_bindgen::{JsCast, closure::Closure};
use leptos::{ev, html};
use send_wrapper::SendWrapper;

use super::icon::{Icon, Sign};
use super::thread_view::ThreadView;
use crate::browser;
use crate::pages::{Failure, Missing, Start};
use crate::state::{Conversation, Earlier, Page, Phase};
use crate::thread::Part;

/// How near to its end a log counts as being there, in pixels.
const NEAR: i32 = 48;
/// How near to its beginning earlier messages are asked for, in pixels: before the reader is there.
const NEAR_BEGIN: i32 = 800;

#[component]
pub fn Log(page: Page) -> impl IntoView {
    move || view! { <ConversationLog page chat=page.current.get() /> }
}

#[component]
fn ConversationLog(page: Page, chat: Conversation) -> impl IntoView {
    let log = NodeRef::<html::Div>::new();
    let column = NodeRef::<html::Div>::new();
    let sticking = StoredValue::new(true);
    let last_top = StoredValue::new(0);
    let away = RwSignal::new(false);

    let to_end = move || {
        if let Some(log) = log.get_untracked() {
            log.set_scroll_top(log.scroll_height());
        }
    };
    // Whether the reader stands away from the end, and no growth takes him there.
    let look = move || {
        let Some(log) = log.get_untracked() else { return };
        let at_end = log.scroll_height() - log.scroll_top() - log.client_height() < NEAR;
        let is_away = !at_end && !sticking.get_value();
        if away.get_untracked() != is_away {
            away.set(is_away);
        }
    };
    let whole = chat.clone();
    let on_scroll = move |_| {
        let Some(log) = log.get_untracked() else { return };
        let top = log.scroll_top();
        let at_end = log.scroll_height() - top - log.client_height() < NEAR;
        let up = top < last_top.get_value();
        last_top.set_value(top);
        if at_end || up {
            sticking.set_value(at_end);
        }
        look();
        // What failed is asked for again by hand.
        let reads_up = top < NEAR_BEGIN && !sticking.get_value();
        if reads_up
            && *whole.earlier.read_untracked() == Earlier::More
            && let Part::Here(thread) = page.thread.get_untracked()
        {
            (thread.show_earlier)(page, whole.clone());
        }
    };
    let resized = move || {
        // The log may be gone by the time the browser has looked.
        match sticking.try_get_value() {
            Some(true) => to_end(),
            Some(false) => look(),
            None => {}
        }
    };
    let on_click = move |event: ev::MouseEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let Some(target) = target else { return };
        // What unfolds grows downwards from where the reader pressed.
        if target.closest("summary").ok().flatten().is_some() {
            sticking.set_value(false);
        }
        if let Some(button) = target.closest("[data-copy]").ok().flatten() {
            copy_code(page, &button);
        }
    };
    follow_growth(log, column, to_end, resized);
    let turn = chat.turn.clone();
    Effect::new(move |before: Option<Option<String>>| {
        let turn = turn.with(|turn| turn.as_ref().map(|turn| turn.id.clone()));
        // Who sends something wants to see it.
        if turn.is_some() && before.is_some_and(|before| before != turn) {
            sticking.set_value(true);
            request_animation_frame(to_end);
        }
        turn
    });
    let jump = move |_| {
        sticking.set_value(true);
        away.set(false);
        to_end();
        // The button goes.
        browser::focus("conversation");
    };
    view! {
        <div class="log-area">
            <div
                node_ref=log
                id="conversation"
                class="log"
                role="log"
                aria-label="Conversation"
                aria-live="off"
                tabindex="0"
                on:scroll=on_scroll
                on:click=on_click
            >
                <div class="column" node_ref=column>
                    <Content page chat />
                </div>
            </div>
            {move || {
                away.get()
                    .then(|| {
                        view! {
                            <button type="button" class="latest" on:click=jump>
                                <Icon sign=Sign::Down />
                                "Jump to the latest"
                            </button>
                        }
                    })
            }}
        </div>
    }
}

#[component]
fn Content(page: Page, chat: Conversation) -> impl IntoView {
    let entries = chat.entries.clone();
    let empty = Memo::new(move |_| entries.with(Vec::is_empty));
    let phase = chat.phase.clone();
    let phase = Memo::new(move |_| phase.get());
    move || {
        let chat = chat.clone();
        match phase.get() {
            Phase::Loading => EitherOf5::A(view! { <p class="loading">"Opening the chat…"</p> }),
            Phase::Missing => EitherOf5::B(view! { <Missing /> }),
            Phase::Failed(error) => EitherOf5::C(view! { <Failure page chat error /> }),
            Phase::Ready if empty.get() => EitherOf5::D(view! { <Start page chat /> }),
            Phase::Ready => EitherOf5::E(view! { <ThreadView page chat /> }),
        }
    }
}

/// Begins at the end, and tells whenever the log or what is in it has changed its size.
fn follow_growth(
    log: NodeRef<html::Div>,
    column: NodeRef<html::Div>,
    to_end: impl Fn() + Copy + 'static,
    resized: impl Fn() + Copy + 'static,
) {
    Effect::new(move |_| {
        let (Some(log), Some(column)) = (log.get(), column.get()) else { return };
        to_end();
        let resized = Closure::<dyn Fn()>::new(resized);
        let Ok(observer) = web_sys::ResizeObserver::new(resized.as_ref().unchecked_ref()) else {
            return;
        };
        observer.observe(&log);
        observer.observe(&column);
        let attached = SendWrapper::new((observer, resized));
        on_cleanup(move || attached.0.disconnect());
    });
}

/// Copies the code above which the button stands.
fn copy_code(page: Page, button: &web_sys::Element) {
    let code = button.closest("figure").ok().flatten();
    let code = code.and_then(|figure| figure.query_selector("code").ok().flatten());
    let Some(text) = code.and_then(|code| code.text_content()) else { return };
    browser::copy(page, &text);
    button.set_text_content(Some("Copied"));
    let button = button.clone();
    set_timeout(move || button.set_text_content(Some("Copy")), std::time::Duration::from_secs(2));
}
