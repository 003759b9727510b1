//! Views and server functions of Skein, built twice: `ssr` for the server, `hydrate` for the browser.

#![allow(
    unreachable_pub,
    reason = "the modules are private; `pub` says what a module offers to others"
)]
#![recursion_limit = "256"]

pub mod api;
mod ask;
mod browser;
mod components;
pub mod error;
mod first;
mod highlight;
mod ids;
mod markdown;
pub mod model;
mod pages;
#[cfg(feature = "ssr")]
mod shell;
mod state;
mod stream;
mod thread;
mod tool;
mod words;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::components::Router;

use pages::Workspace;
#[cfg(feature = "ssr")]
pub use {first::First, shell::shell};

/// The page, whatever its address: one frame around all of them, so that what goes on in it outlives
/// a change of address. Where an address leads says `Place`.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(state::Page::new());
    view! {
        <Router>
            <Workspace />
        </Router>
    }
}
