//! What can be chosen for a message.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::AppError;
use crate::model::Options;

#[cfg(feature = "ssr")]
use super::request::{Caller, backend};

/// Agents and models that are really available, with prices; a first-time visitor sees the same.
#[server(endpoint = "list_options", input = Json)]
pub async fn list_options() -> Result<Options, AppError> {
    let Some(caller) = Caller::if_known().await? else {
        return Ok(backend()?.options(None).await?.into());
    };
    Ok(caller.backend.options(Some(&caller.account)).await?.into())
}
