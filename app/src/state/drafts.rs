//! What was typed or chosen and not sent, kept in the browser by chat.

use leptos::prelude::window;

use crate::model::Choice;

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn key(chat: Option<&str>) -> String {
    format!("skein-draft:{}", chat.unwrap_or("new"))
}

/// The draft of a chat; `None` is the chat that is yet to begin.
pub fn get(chat: Option<&str>) -> String {
    storage().and_then(|s| s.get_item(&key(chat)).ok().flatten()).unwrap_or_default()
}

/// Keeps a draft. Where storage is full or forbidden, it lives as long as the page.
pub fn set(chat: Option<&str>, text: &str) {
    let Some(storage) = storage() else { return };
    let kept = if text.is_empty() {
        storage.remove_item(&key(chat))
    } else {
        storage.set_item(&key(chat), text)
    };
    kept.ok();
}

/// Forgets a draft that was sent, unless something else has been typed since.
pub fn sent(chat: Option<&str>, text: &str) {
    if get(chat).trim() == text.trim() {
        set(chat, "");
    }
}

fn choice_key(chat: Option<&str>) -> String {
    format!("skein-choice:{}", chat.unwrap_or("new"))
}

/// Agent and model that were chosen in a chat, if nothing was sent since.
pub fn choice(chat: Option<&str>) -> Option<Choice> {
    let kept = storage()?.get_item(&choice_key(chat)).ok()??;
    let (agent, model) = kept.split_once(' ')?;
    Some(Choice { agent: agent.to_owned(), model: model.to_owned() })
}

/// Keeps what was chosen.
pub fn set_choice(chat: Option<&str>, choice: &Choice) {
    let Some(storage) = storage() else { return };
    let Choice { agent, model } = choice;
    storage.set_item(&choice_key(chat), &format!("{agent} {model}")).ok();
}

/// Forgets what was chosen: the server knows it now.
pub fn forget_choice(chat: Option<&str>) {
    storage().and_then(|storage| storage.remove_item(&choice_key(chat)).ok());
}
