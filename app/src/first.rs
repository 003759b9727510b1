//! What a page comes with. The server loads it before it renders the page and puts it into the
//! document; the browser takes it from there. So both render the same at once, and neither waits.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::AppError;
use crate::model::{BalanceView, ChatPage, ChatSummary, Options};

/// The element of the document that carries it.
pub(crate) const ELEMENT: &str = "first";

/// In the query of a chat's address: all of its messages, for a page that can't ask for them later.
#[cfg(feature = "ssr")]
const WHOLE_CHAT: &str = "messages=all";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct First {
    pub chats: Result<Vec<ChatSummary>, AppError>,
    pub balance: Result<BalanceView, AppError>,
    /// Agents and models to choose from.
    pub options: Result<Options, AppError>,
    /// The chat that the address names.
    pub chat: Option<Result<ChatPage, AppError>>,
    /// The server's clock, by which both sides render the same page.
    pub now: i64,
}

impl First {
    /// What this page came with.
    pub(crate) fn given() -> Self {
        // A document from before an update is the one that has it in another form, or not at all.
        let outdated = || AppError::Outdated;
        given().unwrap_or_else(|| Self {
            chats: Err(outdated()),
            balance: Err(outdated()),
            options: Err(outdated()),
            chat: Some(Err(outdated())),
            now: 0,
        })
    }
}

#[cfg(not(feature = "ssr"))]
fn given() -> Option<First> {
    let text = document().get_element_by_id(ELEMENT)?.text_content()?;
    serde_json::from_slice(text.as_bytes()).ok()
}

#[cfg(feature = "ssr")]
fn given() -> Option<First> {
    use_context()
}

#[cfg(feature = "ssr")]
impl First {
    /// Loads it for the page at `path`, as the caller in the Leptos context. An address that leads
    /// nowhere, for this caller, decides the status of the response. With the `query` of
    /// `?messages=all` a chat comes whole.
    pub async fn load(path: &str, query: &str) -> Self {
        use crate::api::{balance, list_chats, list_options, open_chat, request::answered};
        use crate::state::Place;

        let (chats, balance) = (list_chats().await, balance().await);
        let options = list_options().await;
        let chat = match Place::of(path) {
            Place::Chat(id) => {
                let whole = query.split('&').any(|pair| pair == WHOLE_CHAT);
                Some(open_chat(id, whole).await)
            }
            Place::New => None,
            Place::Unknown => {
                answered(AppError::NotFound);
                None
            }
        };
        Self { chats, balance, options, chat, now: now() }
    }

    /// Its text in the document: JSON in which nothing ends the element that it stands in.
    pub(crate) fn to_script(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        json.replace('<', "\\u003c")
    }
}

#[cfg(feature = "ssr")]
fn now() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_ends_the_element_that_carries_it() {
        let title = "</script><!-- <b>".to_owned();
        let chat = ChatSummary { id: "1".into(), title, updated_at: 0, running: false };
        let first = First {
            chats: Ok(vec![chat.clone()]),
            balance: Err(AppError::NotFound),
            options: Err(AppError::NotFound),
            chat: None,
            now: 1,
        };
        let text = first.to_script();
        assert!(!text.contains('<'), "{text}");
        let read: First = serde_json::from_str(&text).unwrap();
        assert_eq!(read.chats.unwrap(), [chat]);
    }
}
