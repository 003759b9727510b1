//! What shows conversations and follows their turns. In a release build it is a part of the browser's
//! module that is loaded for the first conversation: the page of a new chat comes without it.
//!
//! So nothing else may name what is behind [`Thread`]: what can be reached from the rest of the module
//! is in the rest of the module.

use std::any::Any;

use futures::channel::mpsc::UnboundedReceiver;
use futures::future::LocalBoxFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_split::SplitLoaderError;
use web_sys::Element;

use crate::components::Messages;
use crate::model::StreamGrant;
use crate::state::{Conversation, Page, Wake, actions};

#[derive(Clone, Copy, Debug)]
pub struct Thread {
    /// Shows the messages in an element, or takes over those that the server wrote there.
    pub show: fn(Page, Conversation, &Element) -> Shown,
    /// Gets earlier messages.
    pub show_earlier: fn(Page, Conversation),
    /// Follows a turn to its end: along the stream that was granted, or the next one that is.
    pub follow: Follow,
}

type Wakes = UnboundedReceiver<Wake>;
type Follow =
    fn(Page, Conversation, String, Option<StreamGrant>, Wakes) -> LocalBoxFuture<'static, ()>;

/// Messages that are shown. They no longer change once it is dropped.
pub type Shown = Box<dyn Any>;

/// How far the part is.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Not asked for.
    Away,
    Loading {
        failures: u32,
    },
    /// It could not be loaded, so many times.
    Missing {
        failures: u32,
    },
    Here(Thread),
}

/// After so many failures the file is taken to be gone: the product may have been replaced by a newer
/// one since the page was opened.
pub const GONE_AFTER: u32 = 2;

#[cfg_attr(
    split,
    leptos::wasm_split::wasm_split(thread, fallible, wasm_split_path = leptos::wasm_split)
)]
fn part() -> Result<Thread, SplitLoaderError> {
    Ok(Thread {
        show,
        show_earlier: actions::show_earlier,
        follow: |page, chat, turn_id, stream, wake| {
            Box::pin(actions::follow(page, chat, turn_id, stream, wake))
        },
    })
}

#[cfg(not(split))]
async fn loaded() -> Result<Thread, SplitLoaderError> {
    part()
}

#[cfg(split)]
use part as loaded;

/// The part, loaded if it is not there. None: it could not be loaded.
pub async fn load(page: Page) -> Option<Thread> {
    let thread = loaded().await.ok();
    let failures = match page.thread.get_untracked() {
        Part::Here(_) => return thread,
        // Said already: whoever goes on trying says it no more.
        Part::Missing { failures: GONE_AFTER.. } if thread.is_none() => return None,
        Part::Away => 0,
        Part::Loading { failures } | Part::Missing { failures } => failures,
    };
    page.thread.set(thread.map_or(Part::Missing { failures: failures + 1 }, Part::Here));
    thread
}

/// Loads the part if nobody has asked for it yet.
pub fn prefetch(page: Page) {
    if matches!(page.thread.get_untracked(), Part::Away) {
        begin(page, 0);
    }
}

/// Loads the part if that has failed before.
pub fn retry(page: Page) {
    if let Part::Missing { failures } = page.thread.get_untracked() {
        begin(page, failures);
    }
}

fn begin(page: Page, failures: u32) {
    page.thread.set(Part::Loading { failures });
    spawn_local(async move {
        load(page).await;
    });
}

/// The messages as HTML, for a page that the server writes. In the browser they are there already, or
/// not yet.
#[cfg(feature = "ssr")]
pub fn html(page: Page, chat: &Conversation) -> Option<String> {
    let chat = chat.clone();
    Some(crate::components::part(view! { <Messages page chat /> }).to_html())
}

#[cfg(not(feature = "ssr"))]
pub fn html(_: Page, _: &Conversation) -> Option<String> {
    None
}

#[cfg(not(feature = "ssr"))]
fn show(page: Page, chat: Conversation, place: &Element) -> Shown {
    use leptos::tachys::hydration::Cursor;
    use leptos::tachys::view::{Mountable, PositionState};

    let messages = view! { <Messages page chat /> };
    if place.first_element_child().is_some() {
        return Box::new(
            messages.hydrate::<true>(&Cursor::new(place.clone()), &PositionState::default()),
        );
    }
    let mut messages = messages.build();
    messages.mount(place, None);
    Box::new(messages)
}

/// On the server nothing is shown after it was written.
#[cfg(feature = "ssr")]
fn show(_: Page, _: Conversation, _: &Element) -> Shown {
    Box::new(())
}
