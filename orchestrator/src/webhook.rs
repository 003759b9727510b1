//! Tells the product that a turn has ended.
//!
//! What it is told stands in an outbox in the database, written together with the turn's end, until
//! the product has taken it: no crash comes in between. Events of a session are sent in their order,
//! one after the other; sessions do not wait for each other. It is a nudge all the same: the product
//! asks for the record itself, and knows what comes twice by the event's id.

mod courier;
mod schedule;
mod target;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use sandbox_sdk::types::{Extra, TokenUsage, TurnState, WebhookBody, WebhookEvent};
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::now_ms,
    metrics::WebhookFigures,
    store::{NewWebhook, Store, StoreError},
};
use courier::Courier;
use target::{Target, WebhookError};

/// Time that is left for what is due at shutdown.
const GRACE: Duration = Duration::from_millis(500);

/// A turn that has ended.
#[derive(Clone, Debug)]
pub(crate) struct TurnEnded {
    pub(crate) sandbox_id: String,
    pub(crate) session_id: String,
    pub(crate) turn_id: String,
    pub(crate) outcome: TurnState,
    pub(crate) usage: TokenUsage,
}

/// The outbox, and who empties it in the background. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Webhooks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// `None`: nobody wants to be told.
    courier: Option<Arc<Courier>>,
    /// Tells the courier that something new is due.
    wake: Arc<Notify>,
    figures: WebhookFigures,
    tasks: TaskTracker,
    closing: CancellationToken,
    abandoning: CancellationToken,
}

impl Webhooks {
    /// Sends to the URL, or nowhere. Nothing is sent before [`begin`](Self::begin).
    pub(crate) fn new(
        url: Option<&str>,
        secret: &SecretString,
        store: Store,
    ) -> Result<Self, WebhookError> {
        let figures = WebhookFigures::default();
        let courier = match url.filter(|url| !url.is_empty()) {
            Some(url) => {
                let target = Target::new(url, secret.clone())?;
                Some(Arc::new(Courier::new(target, store.clone(), figures.clone())))
            }
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            store,
            courier,
            wake: Arc::default(),
            figures,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            abandoning: CancellationToken::new(),
        })))
    }

    /// Puts in order what the last run left: it is all due now, or nobody wants it any more.
    pub(crate) async fn recall(&self) -> Result<(), StoreError> {
        if self.0.courier.is_some() {
            return self.0.store.recall_webhooks(-1).await;
        }
        let count = self.0.store.forget_webhooks().await?;
        if count > 0 {
            tracing::warn!(count, "webhooks of the last run dropped: no webhook URL is configured");
        }
        Ok(())
    }

    /// Begins to send, in the background.
    pub(crate) fn begin(&self) {
        let Some(courier) = self.0.courier.clone() else { return };
        let run = courier.run(self.0.wake.clone(), self.0.closing.clone());
        self.0.tasks.spawn(self.0.abandoning.clone().run_until_cancelled_owned(run));
    }

    /// What to write into the outbox together with the end of a turn. `None`: nobody wants to be told.
    pub(crate) fn event(&self, ended: TurnEnded) -> serde_json::Result<Option<NewWebhook>> {
        if self.0.courier.is_none() {
            return Ok(None);
        }
        let (session_id, turn_id) = (ended.session_id.clone(), ended.turn_id.clone());
        let body = WebhookBody {
            id: format!("evt_{}", uuid::Uuid::now_v7().simple()),
            kind: WebhookBody::TURN_ENDED.to_owned(),
            created_at: now_ms(),
            data: WebhookEvent {
                sandbox_id: ended.sandbox_id,
                session_id: ended.session_id,
                turn_id: ended.turn_id,
                outcome: ended.outcome,
                token_usage: ended.usage,
                extra: Extra::new(),
            },
        };
        let written = serde_json::to_string(&body)?;
        let (id, created_at) = (body.id, body.created_at);
        Ok(Some(NewWebhook { id, session_id, turn_id, body: written, created_at }))
    }

    /// Writes an event into the outbox that has no record to stand beside.
    pub(crate) async fn keep(&self, event: &NewWebhook) -> Result<(), StoreError> {
        self.0.store.keep_webhook(event).await
    }

    /// Something new stands in the outbox.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// What became of webhooks since the start.
    pub(crate) fn figures(&self) -> &WebhookFigures {
        &self.0.figures
    }

    /// Gives what is due a moment. The rest is left to the next start.
    pub(crate) async fn shutdown(&self) {
        self.0.tasks.close();
        self.0.closing.cancel();
        if tokio::time::timeout(GRACE, self.0.tasks.wait()).await.is_err() {
            self.0.abandoning.cancel();
            self.0.tasks.wait().await;
        }
        match self.0.store.count_webhooks().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "webhooks will be sent at the next start"),
            Err(error) => tracing::warn!(%error, "the webhooks left could not be counted"),
        }
    }
}
