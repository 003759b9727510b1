//! Agent sessions of a sandbox: turns, their state and their records.

use reqwest::Method;

use super::{Error, SandboxHandle, answer::decode, http::segment};
use crate::types::{Abort, Aborted, Dispatch, DispatchReceipt, SessionStatus, TurnRecord};

impl SandboxHandle {
    /// Starts a turn in the background. The same turn id again is a look-up, so this is repeated on
    /// transient failures.
    ///
    /// # Errors
    /// 409 while another turn of the session runs.
    pub async fn dispatch(
        &self,
        session_id: &str,
        dispatch: &Dispatch,
    ) -> Result<DispatchReceipt, Error> {
        segment(&dispatch.turn_id)?;
        let path = format!("/agents/sessions/{}/messages", segment(session_id)?);
        let call = self.call(Method::POST, &path)?.json(dispatch)?.repeatable(true);
        decode(&self.client.send(call).await?, "a dispatch")
    }

    /// Stops a turn, or whatever runs. Nothing to stop is no error, nor is an unknown session.
    ///
    /// # Errors
    /// When it is unknown whether the turn was stopped.
    pub async fn abort(&self, session_id: &str, turn_id: Option<&str>) -> Result<Aborted, Error> {
        let path = format!("/agents/sessions/{}/abort", segment(session_id)?);
        let body = Abort { turn_id: turn_id.map(str::to_owned) };
        // Without a turn id a second request could stop the next turn.
        let call = self.call(Method::POST, &path)?.json(&body)?.repeatable(turn_id.is_some());
        match self.client.send(call).await {
            Ok(body) => decode(&body, "an abort"),
            Err(error) if error.is_not_found() => {
                Ok(Aborted { cancelled: false, reason: Some("not found".to_owned()) })
            }
            Err(error) => Err(error),
        }
    }

    /// Where a session stands.
    ///
    /// # Errors
    /// 404 for an unknown session.
    pub async fn session_status(&self, session_id: &str) -> Result<SessionStatus, Error> {
        let path = format!("/agents/sessions/{}", segment(session_id)?);
        let call = self.call(Method::GET, &path)?;
        decode(&self.client.send(call).await?, "a session")
    }

    /// The orchestrator's record of a turn; `None` when it knows no such turn.
    ///
    /// # Errors
    /// When the record could not be read.
    pub async fn turn(&self, session_id: &str, turn_id: &str) -> Result<Option<TurnRecord>, Error> {
        let path = format!("/agents/sessions/{}/turns/{}", segment(session_id)?, segment(turn_id)?);
        let call = self.call(Method::GET, &path)?;
        match self.client.send(call).await {
            Ok(body) => decode(&body, "a turn").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
