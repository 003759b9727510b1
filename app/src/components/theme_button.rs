//! Light, dark, or whatever the system says.

use leptos::prelude::*;

use super::icon::{Icon, Sign};

const KEY: &str = "skein-theme";

#[component]
pub fn ThemeButton() -> impl IntoView {
    let theme = RwSignal::new(String::new());
    Effect::new(move |_| {
        let chosen =
            document().document_element().and_then(|root| root.get_attribute("data-theme"));
        theme.set(chosen.unwrap_or_default());
    });
    let name = move || match theme.get().as_str() {
        "" => "Theme: as the system",
        "light" => "Theme: light",
        _ => "Theme: dark",
    };
    let change = move |_| {
        let next = match theme.get_untracked().as_str() {
            "" => "light",
            "light" => "dark",
            _ => "",
        };
        choose(next);
        theme.set(next.into());
    };
    view! {
        <button type="button" class="quiet needs-js" aria-label=name title=name on:click=change>
            <Icon sign=Sign::Contrast class="icon contrast" />
        </button>
    }
}

/// Where storage is forbidden, the choice lasts as long as the page.
fn choose(theme: &str) {
    let storage = window().local_storage().ok().flatten();
    let Some(root) = document().document_element() else { return };
    if theme.is_empty() {
        root.remove_attribute("data-theme").ok();
        storage.and_then(|storage| storage.remove_item(KEY).ok());
    } else {
        root.set_attribute("data-theme", theme).ok();
        storage.and_then(|storage| storage.set_item(KEY, theme).ok());
    }
}
