//! Webhooks of the orchestrator: signed nudges to settle a turn.

use std::time::Duration;

use sandbox_sdk::{auth::webhook, types::WebhookBody};

use crate::{
    Backend, Error, TurnId,
    clock::{millis, now_ms},
    db::args,
};

/// How long the ids of webhooks are kept; far longer than a signature is accepted.
const KEEP: Duration = Duration::from_secs(24 * 3600);

impl Backend {
    /// Takes a webhook: the raw body, byte for byte as it came, and the signature header. A turn that
    /// it says has ended is settled from the orchestrator's record; nothing in the body is believed.
    /// Duplicates, unknown types and unknown turns do nothing.
    ///
    /// # Errors
    /// `Invalid` for a signature that is missing, wrong or old, and for a body that can't be read;
    /// `Unavailable` when the record can't be had yet, so that the sender tries again.
    pub async fn webhook(&self, raw_body: &[u8], signature: &str) -> Result<(), Error> {
        webhook::verify(self.signing_secret(), signature, raw_body, now_ms() / 1000)
            .map_err(|error| Error::invalid("signature", error.to_string()))?;
        let body: WebhookBody = serde_json::from_slice(raw_body)
            .map_err(|_| Error::invalid("body", "The webhook's body can't be read."))?;
        if body.kind != WebhookBody::TURN_ENDED || self.is_known(&body.id).await? {
            return Ok(());
        }
        let Ok(turn) = TurnId::parse(&body.data.turn_id) else { return Ok(()) };
        match self.settle(&turn).await {
            Err(Error::NotFound) => {}
            settled => drop(settled?),
        }
        // Noted only now: one that could not be acted on must be able to come again.
        self.db()
            .execute(
                "INSERT INTO webhook_events (id, received_at) VALUES ($1, $2)
                 ON CONFLICT (id) DO NOTHING",
                args![&body.id, now_ms()],
            )
            .await?;
        Ok(())
    }

    async fn is_known(&self, webhook: &str) -> Result<bool, Error> {
        let sql = "SELECT id FROM webhook_events WHERE id = $1";
        let known: Option<(String,)> = self.db().optional(sql, args![webhook]).await?;
        Ok(known.is_some())
    }

    pub(crate) async fn purge_webhooks(&self) -> Result<(), Error> {
        let sql = "DELETE FROM webhook_events WHERE received_at <= $1";
        self.db().execute(sql, args![now_ms() - millis(KEEP)]).await?;
        Ok(())
    }
}
