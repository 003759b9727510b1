//! Earlier messages as they are asked for.

use leptos::prelude::*;
use leptos::task::{spawn_local, tick};

use crate::api;
use crate::browser::{self, place::Place};
use crate::error::AppError;
use crate::model::EarlierPage;
use crate::state::{Conversation, Earlier, Page};
use crate::words;

/// Gets the messages before those that are shown, if there are any and they are not on their way.
pub fn show_earlier(page: Page, conversation: Conversation) {
    let Some(id) = conversation.id.get_untracked() else { return };
    let Some(before) = conversation.ask_earlier() else { return };
    spawn_local(async move {
        match api::earlier_messages(id, before.clone()).await {
            Ok(found) => put_before(page, &conversation, &before, found).await,
            // The chat is gone.
            Err(AppError::NotFound) => conversation.fail(AppError::NotFound),
            Err(error) => {
                let words = format!("Earlier messages could not be loaded. {error}");
                if conversation.miss_earlier(&before, error) && is_shown(page, &conversation) {
                    page.announce(words);
                }
            }
        }
    });
}

/// Shows them, and leaves the reader and the focus where they are.
async fn put_before(page: Page, chat: &Conversation, before: &str, found: EarlierPage) {
    let words = words::count(found.messages.len(), "earlier message");
    if !is_shown(page, chat) {
        chat.take_earlier(before, found);
        return;
    }
    let (place, focused) = (Place::now(), browser::has_focus("earlier"));
    if !chat.take_earlier(before, found) {
        return;
    }
    // Tasks of its own change the page; they were woken first.
    tick().await;
    if let Some(place) = place {
        place.keep();
    }
    if focused && *chat.earlier.read_untracked() == Earlier::Nothing {
        // The button goes when there is nothing before what is shown.
        browser::focus("conversation");
    }
    page.announce(format!("{words} loaded."));
}

fn is_shown(page: Page, conversation: &Conversation) -> bool {
    page.current.get_untracked() == *conversation
}
