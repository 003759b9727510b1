//! What the person said.

use leptos::prelude::*;

#[component]
pub fn PersonMessage(text: String) -> impl IntoView {
    view! {
        <article class="message person">
            <h2 class="sr-only">"You"</h2>
            <div class="bubble">{text}</div>
        </article>
    }
}
