//! What was typed and not sent, kept in the browser by chat.

use leptos::prelude::window;

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
