//! Tokens for pages and other programs, which are not to have the product's key.

use reqwest::Method;

use super::{Error, Sandboxes, answer::decode};
use crate::types::{MintToken, ScopedToken};

impl Sandboxes<'_> {
    /// Makes a token that opens a part of one sandbox for a while.
    ///
    /// # Errors
    /// 400 when the scope needs a session or can't have one, 404 for an unknown sandbox or session,
    /// 409 for a session of which nobody has said whose it is.
    pub async fn mint_token(&self, id: &str, wish: &MintToken) -> Result<ScopedToken, Error> {
        // One that nobody got does no harm.
        let call = self.call_of(Method::POST, id, "/tokens")?.json(wish)?.repeatable(true);
        decode(&self.0.send(call).await?, "a token")
    }
}
