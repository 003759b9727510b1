//! The frame around every page: the chats, the conversation, the composer.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

use crate::browser;
use crate::components::{Composer, ConfirmDelete, Header, Log, Sidebar, Strip, part};
use crate::first::First;
use crate::state::{Page, Phase, Place, page};

/// Shows what the page came with. Everything later goes through the page's state.
#[component]
pub fn Workspace() -> impl IntoView {
    let page = page();
    let location = use_location();
    let place = Memo::new(move |_| Place::of(&location.pathname.get()));
    page.seed(place.get_untracked(), First::given());
    part(view! { <Frame page place /> })
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
    // A page without a conversation is laid out in its own way.
    let fresh = move || {
        let chat = page.current.get();
        chat.phase.get() == Phase::Ready && chat.entries.with(Vec::is_empty)
    };
    view! {
        <Title text=title />
        <div class="frame" class:drawer-open=page.drawer>
            <a class="skip button" href="#message" rel="external">
                "Skip to the message"
            </a>
            {part(view! { <Sidebar page /> })}
            <div class="scrim needs-js" on:click=move |_| browser::close_drawer(page)></div>
            <main class="sheet" class:fresh=fresh inert=page.drawer>
                {part(view! { <Header page /> })}
                {part(view! { <Log page /> })}
                <div class="dock" hidden=closed>
                    <div class="column">
                        {part(view! { <Strip page /> })}
                        {part(view! { <Composer page /> })}
                    </div>
                </div>
            </main>
            {part(view! { <ConfirmDelete page /> })}
            <p class="sr-only" role="status">
                {page.announcement}
            </p>
        </div>
    }
}
