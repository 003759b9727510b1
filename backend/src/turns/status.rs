//! Where a turn stands, as the page is told.

use super::row::TurnRow;
use crate::{
    Account, Backend, Error, Role, SandboxState, StreamGrant, TurnId, TurnOutcome, TurnState,
    TurnStatus, tokens::Session,
};

const UNREACHABLE: &str = "The sandbox service does not answer. Still trying…";

impl Backend {
    /// Where a turn stands; with its outcome once it has ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn turn_status(&self, account: &Account, turn: &TurnId) -> Result<TurnStatus, Error> {
        let row = self.owned_turn(account.id(), turn).await?;
        let outcome = if row.state.is_final() { self.outcome(account, &row).await? } else { None };
        let unreachable = !row.state.is_final() && row.unreachable_since.is_some();
        Ok(TurnStatus {
            chat_id: row.chat_id.clone(),
            turn_id: row.id.clone(),
            state: row.state,
            sandbox: SandboxState::try_from(row.sandbox_state.clone())
                .unwrap_or(SandboxState::None),
            stream: self.stream_of(&row)?,
            outcome,
            notice: if unreachable { Some(UNREACHABLE.to_owned()) } else { row.notice },
        })
    }

    async fn outcome(
        &self,
        account: &Account,
        row: &TurnRow,
    ) -> Result<Option<TurnOutcome>, Error> {
        let Some(message) = self.message(&row.id, Role::Assistant).await? else { return Ok(None) };
        let balance = self.balance(account).await?.available;
        Ok(Some(TurnOutcome { error: message.error.clone(), message, balance }))
    }

    /// How to watch a turn, while it runs. Its session is mapped by then.
    pub(super) fn stream_of(&self, row: &TurnRow) -> Result<Option<StreamGrant>, Error> {
        if row.state != TurnState::Running {
            return Ok(None);
        }
        let session = Session {
            session_id: row.session_id.clone(),
            remote_id: row.remote_id.clone(),
            since: row.since_seq.max(row.settled_seq),
        };
        self.grant(&row.account_id, session).map(Some)
    }
}
