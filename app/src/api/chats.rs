//! Chats: list, open, rename, delete.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::AppError;
use crate::model::{ChatPage, ChatSummary};

#[cfg(feature = "ssr")]
use super::request::{Caller, answered};

/// The account's chats, latest first. A first-time visitor has none.
#[server(endpoint = "list_chats", input = Json)]
pub async fn list_chats() -> Result<Vec<ChatSummary>, AppError> {
    let Some(caller) = Caller::if_known().await? else {
        return Ok(Vec::new());
    };
    let chats = caller.backend.chats(&caller.account).await?;
    Ok(chats.into_iter().map(Into::into).collect())
}

/// A chat with its settled history. Carries no token: it may be rendered into a page.
#[server(endpoint = "open_chat", input = Json)]
pub async fn open_chat(chat_id: String) -> Result<ChatPage, AppError> {
    // Without an account it is somebody else's chat, like any other that is not the caller's own.
    let Some(caller) = Caller::if_known().await? else {
        return Err(answered(AppError::NotFound));
    };
    Ok(caller.backend.open_chat(&caller.account, &chat_id.parse()?).await?.into())
}

#[server(endpoint = "rename_chat", input = Json)]
pub async fn rename_chat(chat_id: String, title: String) -> Result<ChatSummary, AppError> {
    let caller = Caller::known().await?;
    let chat = caller.backend.rename_chat(&caller.account, &chat_id.parse()?, &title).await?;
    Ok(chat.into())
}

/// Deletes a chat with its messages, files and sandbox. A turn in progress is stopped.
#[server(endpoint = "delete_chat", input = Json)]
pub async fn delete_chat(chat_id: String) -> Result<(), AppError> {
    let caller = Caller::known().await?;
    Ok(caller.backend.delete_chat(&caller.account, &chat_id.parse()?).await?)
}
