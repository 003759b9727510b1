//! What is left to spend.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::AppError;
use crate::model::BalanceView;

#[cfg(feature = "ssr")]
use super::request::{Caller, backend};

/// The account's balance; for a first-time visitor, what a guest is given.
#[server(endpoint = "balance", input = Json)]
pub async fn balance() -> Result<BalanceView, AppError> {
    let Some(caller) = Caller::if_known().await? else {
        let available = backend()?.guest_grant().into();
        return Ok(BalanceView { available, held: Default::default(), guest: true });
    };
    let balance = caller.backend.balance(&caller.account).await?;
    Ok(BalanceView {
        available: balance.available.into(),
        held: balance.held.into(),
        guest: caller.account.is_guest(),
    })
}
