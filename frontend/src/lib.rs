//! The browser's entry point. The page itself is the `app` crate; it sets `html[data-hydrated]` when
//! it is alive.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the script that loads the module.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
}
