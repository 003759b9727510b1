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

/// A chat has begun and has its id: what was typed since its first message belongs to it.
pub fn begun(chat: &str) {
    let text = get(None);
    if !text.is_empty() {
        set(Some(chat), &text);
        set(None, "");
    }
}

/// What a chat's field begins with: its draft, unless that is the message that is on its way.
pub fn offered(draft: String, on_its_way: Option<&str>) -> String {
    let sent = on_its_way.is_some_and(|text| text.trim() == draft.trim());
    if sent { String::new() } else { draft }
}

/// A message that came back, and what stands in the field by now: that may be the message itself.
pub fn rejoined(returned: &str, since: &str) -> String {
    let (message, typed) = (returned.trim(), since.trim());
    if typed.is_empty() || typed == message {
        return returned.to_owned();
    }
    match typed.strip_prefix(message) {
        Some(more) if more.starts_with('\n') => since.to_owned(),
        _ => format!("{returned}\n\n{since}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_comes_back_is_not_doubled() {
        assert_eq!(rejoined("hello", ""), "hello");
        assert_eq!(rejoined("hello", "hello\n"), "hello");
        assert_eq!(rejoined("hello", "and more"), "hello\n\nand more");
        assert_eq!(rejoined("hello", "hello\n\nand more"), "hello\n\nand more");
    }

    #[test]
    fn a_message_on_its_way_is_not_offered_again() {
        assert_eq!(offered("hello ".into(), Some("hello")), "");
        assert_eq!(offered("and more".into(), Some("hello")), "and more");
        assert_eq!(offered("hello".into(), None), "hello");
    }
}
