//! Asks before a chat is deleted.

use leptos::html;
use leptos::prelude::*;

use crate::state::{Page, actions};

#[component]
pub fn ConfirmDelete(page: Page) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let deleting = page.deleting;
    Effect::new(move |_| {
        let asked = deleting.with(Option::is_some);
        let Some(dialog) = dialog.get() else { return };
        if asked && !dialog.open() {
            // Fails only for a dialog that is open already.
            dialog.show_modal().ok();
        } else if !asked && dialog.open() {
            dialog.close();
        }
    });
    let title = move || {
        let title = deleting.with(|chat| chat.as_ref().map(|chat| chat.title.clone()));
        title.map(|title| format!("Delete “{title}”?"))
    };
    let confirm = move |_| {
        if let Some(chat) = deleting.get_untracked() {
            deleting.set(None);
            actions::delete(page, chat);
        }
    };
    view! {
        <dialog
            node_ref=dialog
            class="confirm"
            aria-labelledby="confirm-title"
            on:close=move |_| deleting.set(None)
        >
            <h2 id="confirm-title">{title}</h2>
            <p>
                "Its messages go, and its sandbox with every file in it. An answer that is being written is stopped. This can't be undone."
            </p>
            <div class="actions">
                <button type="button" class="button" autofocus on:click=move |_| deleting.set(None)>
                    "Keep it"
                </button>
                <button type="button" class="button danger" on:click=confirm>
                    "Delete chat"
                </button>
            </div>
        </dialog>
    }
}
