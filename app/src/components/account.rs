//! Who the person is and what is left to spend.

use leptos::prelude::*;

use super::theme_button::ThemeButton;
use crate::state::Page;

#[component]
pub fn Account(page: Page) -> impl IntoView {
    let left = move || match page.balance.get() {
        Some(balance) => format!("{} credits left", balance.available),
        None => "Credits unknown".into(),
    };
    view! {
        <div class="account">
            <span class="avatar" aria-hidden="true">
                "G"
            </span>
            <div>
                "Guest" <small class="number">{left}</small>
            </div>
            <ThemeButton />
        </div>
    }
}
