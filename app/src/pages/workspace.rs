//! The frame around every page: the chats, the conversation, the composer.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

use crate::api;
use crate::browser;
use crate::components::{Composer, ConfirmDelete, Header, Log, Sidebar, Strip};
use crate::state::{First, Page, Phase, Place, page};

/// Loads what the first page shows, and shows it. Everything later goes through the page's state.
#[component]
pub fn Workspace() -> impl IntoView {
    let page = page();
    let location = use_location();
    let place = Memo::new(move |_| Place::of(&location.pathname.get()));
    let first = Resource::new_blocking(|| (), move |()| load(place.get_untracked()));
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                let first = first.await;
                page.seed(place.get_untracked(), first);
                view! { <Frame page place /> }.into_any()
            })}
        </Suspense>
    }
}

/// On the server a title is written into the document as it stands; the browser takes it as text.
fn title_text(title: String) -> String {
    if cfg!(feature = "ssr") {
        title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    } else {
        title
    }
}

#[component]
fn Frame(page: Page, place: Memo<Place>) -> impl IntoView {
    browser::attach(page, place);
    let title = move || match page.current.get().id.get() {
        Some(_) => title_text(format!("{} · Skein", page.title())),
        None => "Skein".into(),
    };
    // The server asks for it when everything else has been rendered: by then another page's signals
    // may stand where this page's were.
    #[cfg(feature = "ssr")]
    let title = {
        let text = untrack(title);
        move || text.clone()
    };
    // Where there is no conversation, there is nothing to write to.
    let closed =
        move || matches!(page.current.get().phase.get(), Phase::Missing | Phase::Failed(_));
    view! {
        <Title text=title />
        <div class="frame" class:drawer-open=page.drawer>
            <a class="skip button" href="#message" rel="external">
                "Skip to the message"
            </a>
            {view! { <Sidebar page /> }.into_any()}
            <div class="scrim needs-js" on:click=move |_| browser::close_drawer(page)></div>
            <main class="sheet" inert=page.drawer>
                {view! { <Header page /> }.into_any()}
                {view! { <Log page /> }.into_any()}
                <div class="dock" hidden=closed>
                    <div class="column">
                        {view! { <Strip page /> }.into_any()}
                        {view! { <Composer page /> }.into_any()}
                    </div>
                </div>
            </main>
            {view! { <ConfirmDelete page /> }.into_any()}
            <p class="sr-only" role="status">
                {page.announcement}
            </p>
        </div>
    }
}

/// What the server knows when the page is asked for.
async fn load(place: Place) -> First {
    let (chats, balance) = (api::list_chats().await, api::balance().await);
    let options = api::list_options().await;
    let chat = match place {
        Place::Chat(id) => Some(api::open_chat(id).await),
        Place::New => None,
        Place::Unknown => {
            not_found();
            None
        }
    };
    First { chats, balance, options, chat, now: server_now() }
}

#[cfg(feature = "ssr")]
fn not_found() {
    crate::api::request::answered(crate::error::AppError::NotFound);
}

#[cfg(not(feature = "ssr"))]
fn not_found() {}

#[cfg(feature = "ssr")]
fn server_now() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(not(feature = "ssr"))]
fn server_now() -> i64 {
    crate::state::actions::now()
}
