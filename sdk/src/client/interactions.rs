//! What agents ask people: reading it, answering it.

use reqwest::Method;
use serde::Deserialize;

use super::{Error, SandboxHandle, answer::decode, http::segment};
use crate::types::{InteractionAnswer, InteractionRequest};

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    interactions: Vec<InteractionRequest>,
}

impl SandboxHandle {
    /// What the session's agent waits for a person to say, oldest first.
    ///
    /// # Errors
    /// 404 for an unknown session.
    pub async fn interactions(&self, session_id: &str) -> Result<Vec<InteractionRequest>, Error> {
        let path = format!("/agents/sessions/{}/interactions", segment(session_id)?);
        let call = self.call(Method::GET, &path)?;
        let listed: Listed = decode(&self.client.send(call).await?, "interactions")?;
        Ok(listed.interactions)
    }

    /// Answers a request. The same answer again does no harm, so this is repeated on transient
    /// failures.
    ///
    /// # Errors
    /// 400 `INVALID_INTERACTION_ANSWER` when it is no answer to this request, 404 when nobody waits
    /// for it any more ([`Error::is_not_found`]), 409 when it was answered otherwise.
    pub async fn answer_interaction(
        &self,
        session_id: &str,
        answer: &InteractionAnswer,
    ) -> Result<(), Error> {
        let path = format!("/agents/sessions/{}/interactions", segment(session_id)?);
        let call = self.call(Method::POST, &path)?.json(answer)?.repeatable(true);
        self.client.send(call).await.map(drop)
    }
}
