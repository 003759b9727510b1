//! There is nothing at this address, or nothing for this person.

use leptos::prelude::*;

#[component]
pub fn Missing() -> impl IntoView {
    view! {
        <div class="nothing">
            <h2>"Nothing here"</h2>
            <p>
                "This page does not exist, or the chat was deleted, or it belongs to somebody else."
            </p>
            <a class="button" href="/">
                "Start a new chat"
            </a>
        </div>
    }
}
