//! What a gateway client is made with.

use std::{fmt, future::Future};

use super::storage::{BoxedStorage, ReplayStorage};

/// `Send` where tasks move between threads, nothing in the browser.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send> MaybeSend for T {}
/// `Send` where tasks move between threads, nothing in the browser.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T> MaybeSend for T {}

/// A fresh token and its end (Unix seconds), or in words why there is none.
pub type RefreshedToken = Result<(String, i64), String>;

#[cfg(not(target_arch = "wasm32"))]
pub(super) type RefreshFuture = futures::future::BoxFuture<'static, RefreshedToken>;
#[cfg(target_arch = "wasm32")]
pub(super) type RefreshFuture = futures::future::LocalBoxFuture<'static, RefreshedToken>;

#[cfg(not(target_arch = "wasm32"))]
pub(super) type TokenRefresh = Box<dyn FnMut() -> RefreshFuture + Send>;
#[cfg(target_arch = "wasm32")]
pub(super) type TokenRefresh = Box<dyn FnMut() -> RefreshFuture>;

/// Where to connect, as whom, and how stubbornly.
pub struct GatewayOptions {
    /// `ws(s)://…/session`.
    pub url: String,
    /// Product read token of the session.
    pub token: String,
    /// When the token ends, in Unix seconds. Absent: read from the token.
    pub expires_at: Option<i64>,
    /// The session to watch.
    pub session_id: String,
    /// Default: the session's own channel, `session:<session_id>`.
    pub channels: Option<Vec<String>>,
    /// Sequence number up to which events are known already; 0 for none. It wins over a stored one.
    /// Absent, and nothing stored: live events only.
    pub since: Option<u64>,
    /// Come back after a lost connection. Default yes.
    pub auto_reconnect: bool,
    /// Prefix of the storage key; the session id follows.
    pub replay_storage_key_prefix: String,
    pub(super) replay_storage: Option<BoxedStorage>,
    pub(super) token_refresh: Option<TokenRefresh>,
}

impl fmt::Debug for GatewayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayOptions")
            .field("url", &self.url)
            .field("session_id", &self.session_id)
            .field("channels", &self.channels)
            .field("since", &self.since)
            .field("auto_reconnect", &self.auto_reconnect)
            .finish_non_exhaustive()
    }
}

impl GatewayOptions {
    /// Options with every default: reconnecting, live events of the session's own channel.
    pub fn new(
        url: impl Into<String>,
        token: impl Into<String>,
        session_id: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            expires_at: None,
            session_id: session_id.into(),
            channels: None,
            since: None,
            auto_reconnect: true,
            replay_storage_key_prefix: "session-gateway:".to_owned(),
            replay_storage: None,
            token_refresh: None,
        }
    }

    /// Begin after this sequence number.
    #[must_use]
    pub fn since(mut self, since: u64) -> Self {
        self.since = Some(since);
        self
    }

    /// When the token ends, in Unix seconds.
    #[must_use]
    pub fn expires_at(mut self, expires_at: i64) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Keep the cursor, so that another client goes on where this one stopped.
    #[must_use]
    pub fn replay_storage(mut self, storage: impl ReplayStorage + MaybeSend + 'static) -> Self {
        self.replay_storage = Some(Box::new(storage));
        self
    }

    /// How to get another token. Called before the token ends and when the gateway refuses it, never
    /// twice at once.
    #[must_use]
    pub fn token_refresh<F, R>(mut self, mut refresh: F) -> Self
    where
        F: FnMut() -> R + MaybeSend + 'static,
        R: Future<Output = RefreshedToken> + MaybeSend + 'static,
    {
        self.token_refresh = Some(Box::new(move || Box::pin(refresh())));
        self
    }
}
