//! A chat could not be opened, or not yet.

use leptos::either::Either;
use leptos::prelude::*;

use crate::browser;
use crate::error::AppError;
use crate::state::{Action, Conversation, Page, actions};

#[component]
pub fn Failure(page: Page, chat: Conversation, error: AppError) -> impl IntoView {
    let words = error.to_string();
    let offline = Memo::new(move |_| !page.online.get() && error == AppError::Offline);
    let failed = move || {
        let chat = chat.clone();
        let again = move |_| {
            actions::act(page, &chat, Action::Reopen);
            browser::focus("conversation");
        };
        view! {
            <h2>"This chat could not be opened"</h2>
            <p>{words.clone()}</p>
            <button type="button" class="button needs-js" on:click=again>
                "Try again"
            </button>
        }
    };
    view! {
        <div class="nothing">
            {move || {
                if offline.get() {
                    Either::Left(
                        view! {
                            <h2>"You are offline"</h2>
                            <p>"This chat opens as soon as you are back."</p>
                        },
                    )
                } else {
                    Either::Right(failed())
                }
            }}
        </div>
    }
}
