//! Where webhooks go, and what the answers mean.

use std::time::Duration;

use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use sandbox_sdk::auth::webhook::{HEADER, sign};
use secrecy::SecretString;

use crate::clock::now_ms;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The product's route.
#[derive(Debug)]
pub(super) struct Target {
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

/// What the product said to a webhook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    /// It does not want this request; another try would be the same one.
    Refused(StatusCode),
    /// Nothing, or that it can't take it now. It may say how long to wait at least.
    NotNow(Option<Duration>),
}

impl Target {
    pub(super) fn new(url: &str, secret: SecretString) -> Result<Self, WebhookError> {
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

    /// Sends a body once, signed anew: the signature's time is that of the try.
    pub(super) async fn send(&self, body: String) -> Answer {
        let signature = sign(&self.secret, now_ms() / 1000, body.as_bytes());
        let request = self
            .client
            .post(self.url.clone())
            .header(HEADER, signature)
            .header("content-type", "application/json")
            .body(body);
        match request.send().await {
            Ok(answer) => {
                tracing::debug!(status = %answer.status(), "webhook answered");
                Answer::of(answer.status(), answer.headers())
            }
            Err(error) => {
                // Whatever stands in the URL is not for the log.
                let error = error.without_url();
                tracing::debug!(%error, "webhook not delivered");
                Answer::NotNow(None)
            }
        }
    }
}

impl Answer {
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let later =
            [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        if status.is_success() {
            Self::Taken
        } else if status.is_client_error() && !later.contains(&status) {
            Self::Refused(status)
        } else {
            Self::NotNow(retry_after(headers))
        }
    }
}

/// Seconds only: of a date one would have to believe the receiver's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&'static str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        Answer::of(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn what_would_be_refused_again_is_refused_for_good() {
        for status in [200, 202, 204] {
            assert_eq!(answer(status, None), Answer::Taken);
        }
        for status in [400, 401, 403, 404, 410, 413, 422] {
            let code = StatusCode::from_u16(status).unwrap();
            assert_eq!(answer(status, Some("3")), Answer::Refused(code));
        }
        for status in [307, 408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(answer(status, None), Answer::NotNow(None));
        }
    }

    #[test]
    fn the_receiver_says_in_seconds_how_long_to_wait() {
        let wait = |value| answer(503, Some(value));
        assert_eq!(wait("7"), Answer::NotNow(Some(Duration::from_secs(7))));
        for odd in
            ["", "-1", "1.5", "soon", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"]
        {
            assert_eq!(wait(odd), Answer::NotNow(None), "{odd}");
        }
    }

    #[test]
    fn only_http_urls_are_taken() {
        let target = |url: &str| Target::new(url, "x".repeat(32).into());
        assert!(target("http://[::1]:3000/hook").is_ok());
        assert!(target("https://chat.example.com/hook").is_ok());
        for url in ["", "hook", "ftp://a/b", "file:///etc/passwd", "mailto:a@b"] {
            assert!(matches!(target(url), Err(WebhookError::Url)), "{url}");
        }
    }
}
