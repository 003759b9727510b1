//! What unfolds and folds by itself, until the reader touches it.

use leptos::ev;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;

/// Whether a fold is open: as it says itself, or, once touched, as the reader left it. The handler
/// belongs to the `details` element.
pub fn fold(
    by_itself: impl Fn() -> bool + Copy + Send + Sync + 'static,
) -> (impl Fn() -> bool + Copy + Send + Sync + 'static, impl Fn(ev::MouseEvent) + Copy + 'static) {
    let chosen = RwSignal::new(None::<bool>);
    let open = move || chosen.get().unwrap_or_else(by_itself);
    let touch = move |event: ev::MouseEvent| {
        let now = untrack(open);
        if is_own_summary(&event) {
            // Done here and not by the browser, which would do it a second time.
            event.prevent_default();
            chosen.set(Some(!now));
        } else if chosen.get_untracked().is_none() {
            // Who unfolds a part of it reads it: it does not fold under his eyes.
            chosen.set(Some(now));
        }
    };
    (open, touch)
}

fn is_own_summary(event: &ev::MouseEvent) -> bool {
    let element = |target: Option<web_sys::EventTarget>| {
        target.and_then(|target| target.dyn_into::<web_sys::Element>().ok())
    };
    let summary = element(event.target()).and_then(|target| target.closest("summary").ok()?);
    let owner = summary.and_then(|summary| summary.parent_element());
    owner.is_some() && owner == element(event.current_target())
}
