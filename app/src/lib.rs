//! Views and server functions of Skein, built twice: `ssr` for the server, `hydrate` for the browser.

#![allow(
    unreachable_pub,
    reason = "the modules are private; `pub` says what a module offers to others"
)]
#![recursion_limit = "256"]

pub mod api;
mod browser;
mod components;
pub mod error;
mod highlight;
mod ids;
mod markdown;
pub mod model;
mod pages;
#[cfg(feature = "ssr")]
mod shell;
mod state;
mod stream;
mod tool;
mod words;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::SsrMode;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;

use pages::Workspace;
#[cfg(feature = "ssr")]
pub use shell::shell;

/// The page, whatever its address: one frame around all of them, so that what goes on in it outlives
/// a change of address. The routes only say which addresses there are.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(state::Page::new());
    view! {
        <Router>
            <Workspace />
            <FlatRoutes fallback=|| ()>
                <Route path=path!("/") view=|| () ssr=SsrMode::Async />
                <Route path=path!("/chat/:id") view=|| () ssr=SsrMode::Async />
            </FlatRoutes>
        </Router>
    }
}
