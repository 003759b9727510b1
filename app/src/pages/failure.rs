//! A chat could not be opened.

use leptos::prelude::*;

use crate::browser;
use crate::error::AppError;
use crate::state::{Action, Conversation, Page, actions};

#[component]
pub fn Failure(page: Page, chat: Conversation, error: AppError) -> impl IntoView {
    view! {
        <div class="nothing">
            <h2>"This chat could not be opened"</h2>
            <p>{error.to_string()}</p>
            <button
                type="button"
                class="button needs-js"
                on:click=move |_| {
                    actions::act(page, &chat, Action::Reopen);
                    browser::focus("conversation");
                }
            >
                "Try again"
            </button>
        </div>
    }
}
