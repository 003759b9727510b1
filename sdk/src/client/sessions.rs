//! Agent sessions of a sandbox as things that are made, listed, asked for their result and removed.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Error, SandboxHandle, answer::decode, http::segment};
use crate::types::{ExecutionResult, SessionStatus, TurnRecord};

#[derive(Deserialize)]
struct Listed {
    sessions: Vec<SessionStatus>,
}

impl SandboxHandle {
    /// Makes a session, under an id of the caller's or one that is drawn. The same id again is a
    /// look-up. A dispatch makes its session itself: this is for those that are to be there before.
    ///
    /// # Errors
    /// 409 for an id that is in use in another sandbox.
    pub async fn create_session(&self, session_id: Option<&str>) -> Result<SessionStatus, Error> {
        let body = session_id.map_or_else(|| json!({}), |id| json!({"sessionId": id}));
        let call = self.call(Method::POST, "/agents/sessions")?.json(&body)?;
        let call = call.repeatable(session_id.is_some());
        decode(&self.client.send(call).await?, "a session")
    }

    /// The sessions of the sandbox, newest first: 200 without a limit, which is also the most.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn sessions(
        &self,
        limit: Option<u32>,
        offset: Option<u32>,
    ) -> Result<Vec<SessionStatus>, Error> {
        let mut call = self.call(Method::GET, "/agents/sessions")?;
        for (name, value) in [("limit", limit), ("offset", offset)] {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        let listed: Listed = decode(&self.client.send(call).await?, "a list of sessions")?;
        Ok(listed.sessions)
    }

    /// Ends what runs in a session and removes its log and its records. One that is gone already is no
    /// error.
    ///
    /// # Errors
    /// When it is unknown whether it was removed.
    pub async fn delete_session(&self, session_id: &str) -> Result<(), Error> {
        let path = format!("/agents/sessions/{}", segment(session_id)?);
        match self.client.send(self.call(Method::DELETE, &path)?).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// What came of a turn, or of the session's last one; `None` when there is none. While it runs,
    /// the result says so.
    ///
    /// # Errors
    /// When the result could not be read.
    pub async fn session_result(
        &self,
        session_id: &str,
        turn_id: Option<&str>,
    ) -> Result<Option<ExecutionResult>, Error> {
        let path = format!("/agents/sessions/{}/result", segment(session_id)?);
        let mut call = self.call(Method::GET, &path)?;
        if let Some(turn) = turn_id {
            call = call.query("executionId", turn);
        }
        match self.client.send(call).await {
            Ok(body) => decode(&body, "a result").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The record of a turn whose session need not be known; `None` when there is no such turn.
    ///
    /// # Errors
    /// When the record could not be read.
    pub async fn find_turn(&self, turn_id: &str) -> Result<Option<TurnRecord>, Error> {
        let call = self.call(Method::GET, &format!("/agents/turns/{}", segment(turn_id)?))?;
        match self.client.send(call).await {
            Ok(body) => decode(&body, "a turn").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
