//! Accounts and the web sessions that open them.

use std::fmt;

use crate::AccountId;

/// Somebody who was authenticated. Only `Backend::authenticate` and `Backend::create_guest` make one.
#[derive(Clone, Debug)]
pub struct Account {
    id: AccountId,
    guest: bool,
}

/// The secret of a web session, for the browser's cookie. Only its hash is stored.
#[derive(Clone)]
pub struct SessionToken {
    secret: String,
    expires_at: i64,
}

impl Account {
    /// Who it is.
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Never signed up.
    pub fn is_guest(&self) -> bool {
        self.guest
    }
}

impl SessionToken {
    /// The secret itself: 32 random bytes in base64url.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// When the session ends in any case, seconds since the Unix epoch.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
