//! Answers of people to what the agent of a turn asks.

use sandbox_sdk::types::{InteractionAnswer, InteractionRequest, PartBody};

use super::{TurnError, Turns, ingest::REQUEST_PREFIX, runner::status};

impl Turns {
    /// What the session's agent waits for, oldest first.
    pub(crate) fn interactions(&self, session_id: &str) -> Vec<InteractionRequest> {
        let active = self.active();
        active.get(session_id).map_or_else(Vec::new, |active| active.inquiries.open())
    }

    /// Answers a request. The same answer again changes nothing.
    pub(crate) async fn answer(
        &self,
        session_id: &str,
        answer: InteractionAnswer,
    ) -> Result<(), TurnError> {
        let running = self.active().get(session_id).map(|active| active.inquiries.clone());
        let told = match running {
            Some(inquiries) => inquiries.answer(answer.clone()).await,
            None => Err(TurnError::NobodyWaits),
        };
        match told {
            // Whoever answered may have missed that it was taken.
            Err(TurnError::NobodyWaits) if self.was_answered(session_id, &answer).await? => Ok(()),
            told => told,
        }
    }

    /// Whether the record of an ended turn holds this very answer. One with a secret in it is not known
    /// again: it is kept nowhere.
    async fn was_answered(
        &self,
        session_id: &str,
        answer: &InteractionAnswer,
    ) -> Result<bool, TurnError> {
        let named = answer.id.strip_prefix(REQUEST_PREFIX).and_then(|id| id.rsplit_once('_'));
        let Some((turn_id, _)) = named else { return Ok(false) };
        let record = match self.record(session_id, turn_id).await {
            Err(TurnError::NotFound { .. }) => return Ok(false),
            record => record?,
        };
        let part = record.parts.into_iter().find(|part| part.id == answer.id);
        let Some(PartBody::Interaction(part)) = part.map(|part| part.body) else {
            return Ok(false);
        };
        Ok(part.status == status(&part.request, answer)
            && part.answer.as_ref() == Some(&answer.data))
    }
}
