//! The backend as a whole.

use std::{sync::Arc, time::Duration};

use crate::*;

/// The product's domain over one database and one orchestrator. Cheap to clone.
#[derive(Clone)]
pub struct Backend {
    inner: Arc<BackendConfig>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}

fn soon<T>() -> Result<T, Error> {
    Err(Error::unavailable("The backend is being built."))
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::unused_async)]
impl Backend {
    pub async fn connect(config: BackendConfig) -> Result<Self, Error> { Ok(Self { inner: Arc::new(config) }) }
    pub async fn recover(&self) -> Result<(), Error> { soon() }
    pub fn spawn_jobs(&self) {}
    pub async fn shutdown(&self, _patience: Duration) {}
    pub async fn ready(&self) -> Result<(), Error> { soon() }
    pub async fn create_guest(&self) -> Result<(Account, SessionToken), Error> { soon() }
    pub async fn authenticate(&self, _token: &str) -> Result<Option<Account>, Error> { soon() }
    pub async fn sign_out(&self, _token: &str) -> Result<(), Error> { soon() }
    pub async fn balance(&self, _account: &Account) -> Result<Balance, Error> { soon() }
    pub fn guest_grant(&self) -> Credits { self.inner.guest_credits }
    pub async fn chats(&self, _account: &Account) -> Result<Vec<ChatSummary>, Error> { soon() }
    pub async fn open_chat(&self, _account: &Account, _chat: &ChatId) -> Result<ChatDetail, Error> { soon() }
    pub async fn rename_chat(&self, _account: &Account, _chat: &ChatId, _title: &str) -> Result<ChatSummary, Error> { soon() }
    pub async fn delete_chat(&self, _account: &Account, _chat: &ChatId) -> Result<(), Error> { soon() }
    pub async fn start_turn(&self, _account: &Account, _request: StartTurn) -> Result<StartedTurn, Error> { soon() }
    pub async fn turn_status(&self, _account: &Account, _turn: &TurnId) -> Result<TurnStatus, Error> { soon() }
    pub async fn refresh_token(&self, _account: &Account, _chat: &ChatId) -> Result<StreamGrant, Error> { soon() }
    pub async fn stop_turn(&self, _account: &Account, _turn: &TurnId) -> Result<TurnStatus, Error> { soon() }
    pub async fn complete_turn(&self, _account: &Account, _turn: &TurnId, _report: ReportedUsage) -> Result<TurnStatus, Error> { soon() }
    pub async fn webhook(&self, _raw_body: &[u8], _signature: &str) -> Result<(), Error> { soon() }
    pub async fn settle(&self, _turn: &TurnId) -> Result<Option<TurnOutcome>, Error> { soon() }
}
