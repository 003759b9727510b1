//! Who the person is and what is left to spend.

use leptos::prelude::*;

use super::theme_button::ThemeButton;
use crate::model::Credits;
use crate::state::Page;

#[component]
pub fn Account(page: Page) -> impl IntoView {
    let left = move || match page.balance.get() {
        // What turns in progress have reserved is not spent yet.
        Some(balance) => {
            let left = Credits(balance.available.0.saturating_add(balance.held.0)).to_string();
            let unit = if left == "1" { "credit" } else { "credits" };
            format!("{left} {unit} left")
        }
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
