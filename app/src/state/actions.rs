//! What a person can do, and what follows from it.
//!
//! All of it runs in the browser only: event handlers start it, and tasks go on with it.

mod answers;
mod earlier;
mod follow;
mod turns;

use std::time::Duration;

use futures::channel::oneshot;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Action, Conversation, Page, Phase, Place, Wake};
use crate::api;
use crate::browser;
use crate::error::AppError;
use crate::model::{ChatSummary, Choice};
use crate::thread;

pub use answers::answer;
pub use earlier::show_earlier;
pub use follow::follow;
pub use turns::{follow_active, retry, send, stop};

/// Milliseconds since the Unix epoch.
pub fn now() -> i64 {
    js_sys::Date::now() as i64
}

/// Waits in the browser.
pub(crate) async fn sleep(ms: u64) {
    let (done, slept) = oneshot::channel();
    // Nobody waits any more when the task is gone, and then the timer means nothing.
    set_timeout(move || done.send(()).unwrap_or_default(), Duration::from_millis(ms));
    slept.await.unwrap_or_default();
}

/// Shows the conversation that an address leads to.
pub fn go_to(page: Page, place: &Place) {
    page.drawer.set(false);
    let current = page.current.get_untracked();
    let id = current.id.get_untracked();
    // What was said about something that is over is not said again when one comes back.
    if current.turn.with_untracked(Option::is_none) {
        current.notice.set(None);
    }
    match place {
        Place::Chat(wanted) if id.as_ref() == Some(wanted) => {}
        Place::Chat(wanted) => {
            let known = page.find(wanted);
            let conversation = known.unwrap_or_else(|| Conversation::loading(wanted.clone()));
            page.keep(&conversation);
            page.current.set(conversation.clone());
            refresh(page, conversation);
        }
        Place::New => {
            let fresh = id.is_none()
                && *current.phase.read_untracked() == Phase::Ready
                && current.turn.with_untracked(Option::is_none);
            if !fresh {
                // A new chat whose first message is on its way is where one left it.
                page.current.set(page.unborn().unwrap_or_else(Conversation::unborn));
            }
        }
        Place::Unknown => page.current.set(Conversation::missing()),
    }
}

/// Asks the server for a conversation again: it may be new here, or another page changed it.
pub fn refresh(page: Page, conversation: Conversation) {
    let Some(id) = conversation.id.get_untracked() else { return };
    // A turn that is followed here tells its own story.
    if conversation.has_follower() {
        return;
    }
    spawn_local(async move {
        match api::open_chat(id.clone(), false).await {
            // Something was sent meanwhile: what is shown is newer.
            Ok(_) if conversation.turn.with_untracked(Option::is_some) && shown(&conversation) => {}
            Ok(chat) => {
                page.show(&conversation, chat);
                follow_active(page, conversation);
            }
            Err(error) => {
                if !shown(&conversation) || error == AppError::NotFound {
                    conversation.fail(error);
                }
            }
        }
    });
}

fn shown(conversation: &Conversation) -> bool {
    *conversation.phase.read_untracked() == Phase::Ready
}

/// Asks the server for the list of chats again.
pub fn refresh_list(page: Page) {
    spawn_local(async move {
        load_list(page).await;
    });
}

/// Another tab has begun a turn in a chat, or renamed or deleted it.
pub fn changed_elsewhere(page: Page, id: String) {
    spawn_local(async move {
        let loaded = load_list(page).await;
        let gone = page.chats.with_untracked(|chats| chats.iter().all(|chat| chat.id != id));
        if let Some(chat) = page.find(&id).filter(|_| loaded && gone) {
            refresh(page, chat);
        }
        refresh_balance(page);
    });
}

/// True: the list is as the server has it.
async fn load_list(page: Page) -> bool {
    let Ok(chats) = api::list_chats().await else { return false };
    let current = page.current.get_untracked();
    let id = current.id.get_untracked();
    let listed = chats.iter().find(|chat| Some(&chat.id) == id.as_ref());
    let changed = listed.is_some_and(|chat| chat.running || current.is_older_than(chat.updated_at));
    page.chats_failed.set(false);
    if *page.chats.read_untracked() != chats {
        page.chats.set(chats);
    }
    // Another page has sent something in the chat that is shown here.
    if changed && current.turn.with_untracked(Option::is_none) {
        refresh(page, current);
    }
    true
}

pub fn refresh_balance(page: Page) {
    spawn_local(async move {
        if let Ok(balance) = api::balance().await {
            page.balance.set(Some(balance));
        }
    });
}

/// Asks the server again what there is to choose.
pub fn refresh_options(page: Page) {
    spawn_local(async move {
        if let Ok(options) = api::list_options().await
            && page.options.with_untracked(|known| known.as_ref() != Some(&options))
        {
            page.options.set(Some(options));
        }
    });
}

/// Chooses agent and model for the next messages of a conversation.
pub fn choose(conversation: &Conversation, choice: Choice) {
    super::drafts::set_choice(conversation.id.get_untracked().as_deref(), &choice);
    conversation.choose(choice);
}

/// Gives a chat another name, at once; the old one comes back when the server refuses.
pub fn rename(page: Page, chat: ChatSummary, title: &str) {
    let title = title.trim().to_owned();
    if title.is_empty() || title == chat.title {
        return;
    }
    page.upsert(ChatSummary { title: title.clone(), ..chat.clone() });
    spawn_local(async move {
        match api::rename_chat(chat.id.clone(), title).await {
            Ok(renamed) => {
                browser::tabs::tell(&renamed.id);
                page.upsert(renamed);
            }
            Err(error) => {
                page.upsert(chat);
                page.current.get_untracked().complain(&error);
            }
        }
    });
}

/// Deletes a chat. A turn in it is stopped by the server.
pub fn delete(page: Page, chat: ChatSummary) {
    spawn_local(async move {
        match api::delete_chat(chat.id.clone()).await {
            // What is gone already is deleted too.
            Ok(()) | Err(AppError::NotFound) => {
                if let Some(conversation) = page.find(&chat.id) {
                    conversation.wake(Wake::Leave);
                    conversation.turn.set(None);
                    page.forget(&conversation);
                }
                page.chats.update(|chats| chats.retain(|known| known.id != chat.id));
                browser::tabs::tell(&chat.id);
                super::drafts::set(Some(&chat.id), "");
                super::drafts::forget_choice(Some(&chat.id));
                let shown = page.current.get_untracked().id.get_untracked();
                if shown.as_ref() == Some(&chat.id) {
                    page.destination.set(Some(("/".into(), true)));
                    browser::focus_conversation();
                } else {
                    browser::focus("new-chat");
                }
                page.announce("Chat deleted.");
                refresh_balance(page);
            }
            Err(error) => page.current.get_untracked().complain(&error),
        }
    });
}

/// Does what a notice offers.
pub fn act(page: Page, conversation: &Conversation, action: Action) {
    conversation.notice.set(None);
    match action {
        Action::ReloadPage => drop(window().location().reload()),
        // What has no id came with the page, and comes again with it alone.
        Action::Reopen if conversation.id.with_untracked(Option::is_none) => {
            window().location().reload().ok();
        }
        Action::Reopen => {
            conversation.phase.set(Phase::Loading);
            refresh(page, conversation.clone());
        }
        Action::Follow => follow_active(page, conversation.clone()),
        Action::LoadThread => thread::retry(page),
    }
}

/// Tries the lost connection at once instead of waiting.
pub fn reconnect(page: Page, conversation: &Conversation) {
    if conversation.has_follower() {
        conversation.wake(Wake::Reconnect);
    } else {
        follow_active(page, conversation.clone());
    }
}

/// The network is back, or the person is: asks for whatever may have changed meanwhile.
pub fn catch_up(page: Page) {
    let current = page.current.get_untracked();
    let failed = matches!(*current.phase.read_untracked(), Phase::Failed(_));
    if current.turn.with_untracked(Option::is_some) {
        // Whoever follows the turn loads what is missing for that, too.
        reconnect(page, &current);
    } else {
        thread::retry(page);
        if failed && current.id.with_untracked(Option::is_some) {
            act(page, &current, Action::Reopen);
        } else if !shown(&current) {
            refresh(page, current);
        }
    }
    // A long conversation is loaded again only if the list says that it has changed.
    refresh_list(page);
    refresh_options(page);
}
