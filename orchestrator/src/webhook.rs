//! Tells the product that a turn has ended.
//!
//! It is a nudge and may get lost: the product asks for the record itself, and looks after turns it
//! never heard of again. So nothing is stored here, and a few tries are enough.

use std::time::Duration;

use reqwest::StatusCode;
use sandbox_sdk::{
    auth::webhook::{HEADER, sign},
    types::{Extra, TokenUsage, TurnState, WebhookBody, WebhookEvent},
};
use secrecy::SecretString;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::clock::now_ms;

/// Pauses before the tries.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
const TIMEOUT: Duration = Duration::from_secs(10);

/// A turn that has ended.
#[derive(Clone, Debug)]
pub(crate) struct TurnEnded {
    pub(crate) sandbox_id: String,
    pub(crate) session_id: String,
    pub(crate) turn_id: String,
    pub(crate) outcome: TurnState,
    pub(crate) usage: TokenUsage,
}

/// Sends webhooks in the background. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Webhooks {
    target: Option<Target>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

#[derive(Clone, Debug)]
struct Target {
    url: reqwest::Url,
    secret: SecretString,
    client: reqwest::Client,
}

/// Why webhooks can't be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("the webhook URL must be an http or https URL")]
    Url,
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
}

impl Webhooks {
    /// Sends to the URL, or nowhere.
    pub(crate) fn new(url: Option<&str>, secret: &SecretString) -> Result<Self, WebhookError> {
        let target = match url.filter(|url| !url.is_empty()) {
            Some(url) => Some(Target::new(url, secret.clone())?),
            None => None,
        };
        Ok(Self { target, tasks: TaskTracker::new(), closing: CancellationToken::new() })
    }

    pub(crate) fn turn_ended(&self, ended: TurnEnded) {
        let Some(target) = self.target.clone() else { return };
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            let turn = ended.turn_id.clone();
            if closing.run_until_cancelled(target.send(ended)).await != Some(true) {
                tracing::warn!(turn, "webhook not delivered");
            }
        });
    }

    /// Gives what is under way a moment, then drops it.
    pub(crate) async fn shutdown(&self) {
        self.tasks.close();
        if tokio::time::timeout(Duration::from_millis(500), self.tasks.wait()).await.is_err() {
            self.closing.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Target {
    fn new(url: &str, secret: SecretString) -> Result<Self, WebhookError> {
        let url: reqwest::Url = url.parse().map_err(|_| WebhookError::Url)?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.ok_or(WebhookError::Url)?.trim_matches(['[', ']']);
        let mut client =
            reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // A proxy of the environment leads out of this machine, never back into it.
        let here = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if here || host == "localhost" {
            client = client.no_proxy();
        }
        let client = client.build().map_err(WebhookError::Client)?;
        Ok(Self { url, secret, client })
    }

    /// `true` once the product has taken it, or refused it for good.
    async fn send(&self, ended: TurnEnded) -> bool {
        let turn = ended.turn_id.clone();
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
        let Ok(body) = serde_json::to_vec(&body) else { return false };
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            let request = self
                .client
                .post(self.url.clone())
                .header(HEADER, sign(&self.secret, now_ms() / 1000, &body))
                .header("content-type", "application/json")
                .body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return true,
                Ok(answer) if is_final(answer.status()) => {
                    tracing::warn!(turn, status = %answer.status(), "webhook refused for good");
                    return true;
                }
                Ok(answer) => tracing::debug!(status = %answer.status(), "webhook refused"),
                Err(error) => tracing::debug!(%error, "webhook not delivered yet"),
            }
        }
        false
    }
}

/// The product does not want this request; another try would be the same one.
fn is_final(status: StatusCode) -> bool {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !later.contains(&status)
}
