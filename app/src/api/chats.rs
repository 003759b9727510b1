//! Chats: list, open, rename, delete.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::AppError;
use crate::model::{ChatPage, ChatSummary, EarlierPage};

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

/// A chat with the end of its settled history, or, where it is wanted `whole`, with all of it. Carries
/// no token: it may be rendered into a page.
#[server(endpoint = "open_chat", input = Json)]
pub async fn open_chat(
    chat_id: String,
    #[server(default)] whole: bool,
) -> Result<ChatPage, AppError> {
    // Without an account it is somebody else's chat, like any other that is not the caller's own.
    let Some(caller) = Caller::if_known().await? else {
        return Err(answered(AppError::NotFound));
    };
    let (backend, account, chat) = (&caller.backend, &caller.account, chat_id.parse()?);
    let opened = match whole {
        true => backend.open_whole_chat(account, &chat).await?,
        false => backend.open_chat(account, &chat).await?,
    };
    Ok(opened.into())
}

/// The messages that come before a turn of the chat, as many as are shown at once.
#[server(endpoint = "earlier_messages", input = Json)]
pub async fn earlier_messages(chat_id: String, before: String) -> Result<EarlierPage, AppError> {
    let caller = Caller::known().await?;
    let (chat, before) = (chat_id.parse()?, before.parse()?);
    Ok(caller.backend.earlier_messages(&caller.account, &chat, &before).await?.into())
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
