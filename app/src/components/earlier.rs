//! The way to the messages before those that are shown.

use leptos::ev;
use leptos::prelude::*;

use crate::state::{Conversation, Earlier, Page, actions};

/// A button. Without scripts it opens the same chat with all of its messages.
#[component]
pub fn EarlierLine(page: Page, chat: Conversation) -> impl IntoView {
    let earlier = Memo::new({
        let earlier = chat.earlier.clone();
        move |_| earlier.get()
    });
    let some = Memo::new(move |_| earlier.with(|earlier| *earlier != Earlier::Nothing));
    let loading = move || earlier.with(|earlier| *earlier == Earlier::Loading);
    let words = move || match earlier.get() {
        Earlier::Loading => "Loading earlier messages…",
        Earlier::Failed(_) => "Try again",
        _ => "Show earlier messages",
    };
    let failure = move || match earlier.get() {
        Earlier::Failed(error) => {
            let words = format!("Earlier messages could not be loaded. {error}");
            Some(view! { <p>{words}</p> })
        }
        _ => None,
    };
    let line = move || {
        let chat = chat.clone();
        let show = move |event: ev::SubmitEvent| {
            event.prevent_default();
            actions::show_earlier(page, chat.clone());
        };
        view! {
            <form class="earlier" on:submit=show>
                {failure}
                // It stays the same while it is pressed, and with it the focus.
                <button
                    id="earlier"
                    class="button"
                    class:shimmer=loading
                    name="messages"
                    value="all"
                    aria-disabled=move || loading().then_some("true")
                >
                    {words}
                </button>
            </form>
        }
    };
    move || some.get().then(&line)
}
