//! What was typed or chosen and not sent, kept in the browser by chat.

use leptos::prelude::window;
use sandbox_sdk::types::Extra;

use crate::model::{Choice, Permissions};

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

/// A chat has begun and has its id: what was typed since its first message belongs to it, and what was
/// chosen. Another tab may have chosen for a new chat of its own.
pub fn begun(chat: &str, chosen: Option<&Choice>) {
    let text = get(None);
    if !text.is_empty() {
        set(Some(chat), &text);
        set(None, "");
    }
    if let Some(chosen) = chosen {
        set_choice(Some(chat), chosen);
        if choice(None).as_ref() == Some(chosen) {
            forget_choice(None);
        }
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

/// What was chosen in a chat, if nothing was sent since.
pub fn choice(chat: Option<&str>) -> Option<Choice> {
    let kept = storage()?.get_item(&choice_key(chat)).ok()??;
    choice_of(&kept)
}

/// None where it does not say, in a known word, what the agent may do: then all is as it was sent
/// last.
fn choice_of(kept: &str) -> Option<Choice> {
    let mut words = kept.split(' ');
    let (agent, model) = (words.next()?.to_owned(), words.next()?.to_owned());
    let permissions = Permissions::of_word(words.next()?)?;
    Some(Choice { agent, model, permissions })
}

fn kept_as(choice: &Choice) -> String {
    let Choice { agent, model, permissions } = choice;
    format!("{agent} {model} {}", permissions.word())
}

/// Keeps what was chosen.
pub fn set_choice(chat: Option<&str>, choice: &Choice) {
    let Some(storage) = storage() else { return };
    storage.set_item(&choice_key(chat), &kept_as(choice)).ok();
}

/// Forgets what was chosen: the server knows it now.
pub fn forget_choice(chat: Option<&str>) {
    storage().and_then(|storage| storage.remove_item(&choice_key(chat)).ok());
}

/// Answers that were begun go with their tab: the agent does not wait for long.
fn session() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

fn answer_key(ask: &str) -> String {
    format!("skein-answer:{ask}")
}

/// What was filled in of an answer; empty where nothing was.
pub fn answer(ask: &str) -> Extra {
    let kept = session().and_then(|session| session.get_item(&answer_key(ask)).ok().flatten());
    kept.and_then(|kept| serde_json::from_slice(kept.as_bytes()).ok()).unwrap_or_default()
}

/// Keeps what was filled in. It must hold no secret.
pub fn set_answer(ask: &str, data: &Extra) {
    if let (Some(session), Ok(text)) = (session(), serde_json::to_string(data)) {
        session.set_item(&answer_key(ask), &text).ok();
    }
}

/// Forgets an answer that came to its end.
pub fn forget_answer(ask: &str) {
    session().and_then(|session| session.remove_item(&answer_key(ask)).ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_kept_whole_and_nothing_is_allowed_that_it_does_not_say() {
        for permissions in Permissions::ALL {
            let choice = Choice { agent: "a".into(), model: "x/y".into(), permissions };
            assert_eq!(choice_of(&kept_as(&choice)), Some(choice));
        }
        for unsaid in ["", "demo", "demo demo", "demo demo ", "demo demo whatever"] {
            assert_eq!(choice_of(unsaid), None, "{unsaid:?}");
        }
    }

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
