//! What a provider did wrong: for the client a status that makes it do the right thing, for the
//! person words.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use bytes::Bytes;
use sandbox_sdk::types::{TurnError, WireFormat};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    super::{ChosenModel, answer::refusal, provider::Provider, turn::turn_error},
    head::{RETURNED, pick},
    small::{PATIENCE, Small},
};

/// Longest quotation of a provider's words, in characters.
const MAX_WORDS: usize = 300;

/// A request that the provider did not serve.
#[derive(Debug)]
pub(super) struct Failed {
    /// What the provider answered; 0: nothing.
    pub(super) status: u16,
    pub(super) problem: TurnError,
    /// What the client gets instead of words of ours.
    passed: Option<(HeaderMap, Bytes)>,
    answered: StatusCode,
}

impl Failed {
    /// Reads a refusal, until the turn is over. Its words never hold the key, whatever the provider puts
    /// there.
    pub(super) async fn refused(
        model: &ChosenModel,
        answer: reqwest::Response,
        over: &CancellationToken,
    ) -> Self {
        let status = answer.status();
        let headers = pick(answer.headers(), &RETURNED);
        let small = Small::read(answer, PATIENCE, over).await;
        let body = Bytes::from(model.provider.redact(&String::from_utf8_lossy(&small.body)));
        let said = said(&body);
        let (code, answered, problem) = judge(model, status, &said);
        Self {
            status: status.as_u16(),
            problem: turn_error(code, problem),
            // Only where the client is to decide itself what to make of it, and can.
            passed: (answered == status && small.whole).then_some((headers, body)),
            answered,
        }
    }

    /// There was an answer, and no end of it.
    pub(super) fn endless(provider: &Provider) -> Self {
        Self::unreached(provider, "its answer did not come to an end")
    }

    /// There was no answer at all.
    pub(super) fn unreachable(provider: &Provider, error: &reqwest::Error) -> Self {
        // The error's own words hold the address, which may be the caller's secret.
        let why = if error.is_timeout() {
            "it did not answer in time"
        } else if error.is_connect() {
            "no connection could be made"
        } else {
            "the connection broke off"
        };
        Self::unreached(provider, why)
    }

    fn unreached(provider: &Provider, why: &str) -> Self {
        tracing::debug!(provider = provider.id, why, "model not reached");
        let problem = format!("The model's provider {} can't be reached: {why}.", provider.id);
        Self {
            status: 0,
            problem: turn_error("MODEL_UNREACHABLE", problem),
            passed: None,
            answered: StatusCode::BAD_GATEWAY,
        }
    }

    pub(super) fn response(&self, format: WireFormat) -> Response {
        match &self.passed {
            Some((headers, body)) if headers.contains_key(CONTENT_TYPE) => {
                let mut response = Response::new(Body::from(body.clone()));
                *response.status_mut() = self.answered;
                response.headers_mut().clone_from(headers);
                response
            }
            _ => refusal(Some(format), self.answered, &self.problem.message),
        }
    }
}

/// The provider failed in the middle of an answer, in its own words.
pub(super) fn failed_inside(model: &ChosenModel, words: &str) -> TurnError {
    let words = shorten(&model.provider.redact(words));
    let message = format!("{} failed in the middle of its answer{}", model.name(), after(&words));
    turn_error("MODEL_UNAVAILABLE", message)
}

/// The provider's answer broke off.
pub(super) fn cut(model: &ChosenModel) -> TurnError {
    let message = format!("The answer of {} broke off before its end.", model.name());
    turn_error("MODEL_STREAM_CUT", message)
}

/// Code and words of a refusal, and the status that the client gets: the provider's own, or 403 where
/// trying again could not help and clients would try again all the same.
fn judge(
    model: &ChosenModel,
    status: StatusCode,
    said: &Said,
) -> (&'static str, StatusCode, String) {
    let provider = &model.provider.id;
    let words = after(&said.message);
    let stop = StatusCode::FORBIDDEN;
    match status.as_u16() {
        401 | 403 => {
            let message = format!("{provider} refused the key ({}){words}", status.as_u16());
            ("MODEL_KEY_REFUSED", stop, message)
        }
        402 => {
            ("MODEL_QUOTA_EXCEEDED", stop, format!("The account at {provider} is used up{words}"))
        }
        429 if said.is_quota() => {
            ("MODEL_QUOTA_EXCEEDED", stop, format!("The account at {provider} is used up{words}"))
        }
        404 => ("MODEL_NOT_FOUND", status, format!("{provider} has no model {}{words}", model.id)),
        429 => {
            ("MODEL_OVERLOADED", status, format!("{provider} takes no more requests now{words}"))
        }
        300..400 => {
            let message = format!("{provider} answered with a redirect, which is not followed.");
            ("MODEL_UNREACHABLE", StatusCode::BAD_GATEWAY, message)
        }
        400..500 => {
            let message = format!("{provider} did not accept the request{words}");
            ("MODEL_REQUEST_REFUSED", status, message)
        }
        529 => ("MODEL_OVERLOADED", status, format!("{provider} is overloaded{words}")),
        500..600 => {
            let message = format!("{provider} failed ({}){words}", status.as_u16());
            ("MODEL_UNAVAILABLE", status, message)
        }
        _ => {
            let message = format!("{provider} gave an answer that makes no sense.");
            ("MODEL_UNREACHABLE", StatusCode::BAD_GATEWAY, message)
        }
    }
}

fn after(words: &str) -> String {
    if words.is_empty() { ".".to_owned() } else { format!(": {words}") }
}

/// What a refusal says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    message: String,
    code: String,
}

impl Said {
    fn is_quota(&self) -> bool {
        matches!(self.code.as_str(), "insufficient_quota" | "billing_not_active")
    }
}

/// All providers have an `error`; some put a bare text into it.
fn said(body: &[u8]) -> Said {
    #[derive(Deserialize)]
    struct Envelope {
        error: Error,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Error {
        Text(String),
        Object { message: Option<String>, code: Option<Code> },
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Code {
        Text(String),
        Number(#[allow(dead_code, reason = "tells nothing that the status does not")] i64),
    }
    match serde_json::from_slice::<Envelope>(body).map(|body| body.error) {
        Ok(Error::Text(message)) => Said { message: shorten(&message), code: String::new() },
        Ok(Error::Object { message, code }) => Said {
            message: shorten(&message.unwrap_or_default()),
            code: match code {
                Some(Code::Text(code)) => code,
                Some(Code::Number(_)) | None => String::new(),
            },
        },
        Err(_) => Said::default(),
    }
}

fn shorten(words: &str) -> String {
    let words = words.trim();
    let clean = words.chars().filter(|c| !c.is_control());
    let mut short: String = clean.take(MAX_WORDS).collect();
    if words.chars().count() > MAX_WORDS {
        short.push('…');
    }
    short
}
