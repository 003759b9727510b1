//! Carries a request to the provider and the answer back, and counts.
//!
//! The exchange with the provider is a task of its own: when the client goes away it reads on, so
//! that what was used is known, and when the provider breaks off the client sees the break.

mod problem;
mod pump;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use reqwest::Method;
use sandbox_sdk::types::{TurnError, WireFormat};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::sleep,
};

use super::{
    ChosenModel,
    answer::refusal,
    budget::Wanted,
    provider::{ANTHROPIC, OPENAI, Provider},
    request::{ModelRequest, Rules},
    turn::{Admitted, Denied, Metering, OpenTurn},
    usage::{Reading, Usage},
};
use problem::{Failed, Small};
use pump::{Client, DRAIN};

/// Headers of the client that a provider gets to see. Everything else stays here.
const FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
    header::ACCEPT,
];
/// Headers of the provider that the client gets to see. The others tell about the operator's account.
const RETURNED: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-request-id"),
];
/// Longest header that is passed on, in bytes.
const MAX_HEADER: usize = 1024;

/// What of the request's head goes on.
#[derive(Debug)]
pub(super) struct Head {
    format: WireFormat,
    path: &'static str,
    headers: HeaderMap,
}

/// Why a request did not go out.
#[derive(Debug)]
pub(super) enum Refused {
    Invalid(String),
    Denied(Denied),
}

impl Head {
    pub(super) fn new(
        format: WireFormat,
        sent: &HeaderMap,
        query: Option<&str>,
        counting: bool,
    ) -> Self {
        let mut headers = pick(sent, &FORWARDED);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if format == WireFormat::Messages {
            let (name, version) = Provider::version();
            headers.entry(name).or_insert(version);
        }
        // The one query that a client is known to send; it changes nothing but the address.
        let beta = query == Some("beta=true");
        let path = match (format, counting, beta) {
            (WireFormat::Messages, false, false) => "/messages",
            (WireFormat::Messages, false, true) => "/messages?beta=true",
            (WireFormat::Messages, true, false) => "/messages/count_tokens",
            (WireFormat::Messages, true, true) => "/messages/count_tokens?beta=true",
            (WireFormat::Responses, ..) => "/responses",
            (WireFormat::ChatCompletions, ..) => "/chat/completions",
        };
        Self { format, path, headers }
    }

    fn request(self, provider: &Provider, body: Bytes) -> reqwest::RequestBuilder {
        provider.request(Method::POST, self.path).headers(self.headers).body(body)
    }
}

/// Forwards a request once the turn's budget lets it, and meters the answer.
pub(super) async fn ask(
    turn: Arc<OpenTurn>,
    head: Head,
    body: Bytes,
    memory: OwnedSemaphorePermit,
) -> Result<Response, Refused> {
    let rules = rules(&turn.model);
    let request = ModelRequest::read(body, head.format, &turn.model.id, rules);
    let request = request.map_err(Refused::Invalid)?;
    let wanted = Wanted {
        hash: request.hash,
        input: request.outline.most(rules),
        outline: request.outline.clone(),
        caches: request.caches,
        max_output: request.max_output(),
        least_output: request.least_output,
    };
    let usual = request.outline.usual(rules);
    // Held from before it is let out, so that a turn that closes waits for what has been.
    let _counted = turn.exchanges.token();
    let admitted = turn.admit(&wanted, head.format).await.map_err(Refused::Denied)?;
    let openai = turn.model.provider.id == OPENAI;
    let body = request.into_body(admitted.reservation.clamp, openai);
    let (answer, answered) = oneshot::channel();
    let exchange =
        Exchange { input_estimate: usual, format: head.format, admitted, turn: turn.clone() };
    // From here on the request is settled, whatever becomes of the client.
    turn.exchanges.spawn(exchange.run(head, body, memory, answer));
    Ok(answered.await.unwrap_or_else(|_| {
        refusal(None, StatusCode::BAD_GATEWAY, "The request could not be carried out.")
    }))
}

/// Forwards a count of tokens, which costs nothing.
pub(super) async fn count(
    turn: Arc<OpenTurn>,
    head: Head,
    body: Bytes,
    memory: OwnedSemaphorePermit,
) -> Result<Response, Refused> {
    let format = head.format;
    let rules = rules(&turn.model);
    let request = ModelRequest::read(body, format, &turn.model.id, rules);
    let request = request.map_err(Refused::Invalid)?;
    turn.admit_count().await.map_err(Refused::Denied)?;
    let provider = &turn.model.provider;
    let sent = head.request(provider, request.into_body(None, false)).send();
    let answered = tokio::select! {
        answered = sent => answered,
        () = turn.closed.cancelled() => return Err(Refused::Denied(Denied::Closed)),
    };
    drop(memory);
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => return Ok(Failed::unreachable(provider, &error).response(format)),
    };
    // A count is a small answer, as a failure is.
    if !answer.status().is_success() {
        return Ok(Failed::refused(&turn.model, answer, &turn.closed).await.response(format));
    }
    let headers = pick(answer.headers(), &RETURNED);
    let small = Small::read(answer, problem::PATIENCE, &turn.closed).await;
    if !small.whole {
        return Ok(Failed::endless(provider).response(format));
    }
    let mut response = Response::new(Body::from(small.body));
    *response.headers_mut() = headers;
    Ok(response)
}

/// One request on its way.
struct Exchange {
    turn: Arc<OpenTurn>,
    format: WireFormat,
    admitted: Admitted,
    /// What it probably has read, should nobody tell.
    input_estimate: u64,
}

impl Exchange {
    async fn run(
        self,
        head: Head,
        body: Bytes,
        memory: OwnedSemaphorePermit,
        mut answer: oneshot::Sender<Response>,
    ) {
        let sent = head.request(&self.turn.model.provider, body).send();
        let gone = async {
            answer.closed().await;
            sleep(DRAIN).await;
        };
        let answered = tokio::select! {
            answered = sent => Some(answered),
            () = self.turn.cut.cancelled() => None,
            () = gone => None,
        };
        drop(memory);
        match answered {
            Some(Ok(response)) if response.status().is_success() => {
                self.pass_on(response, answer).await;
            }
            Some(Ok(response)) => {
                let failed = Failed::refused(&self.turn.model, response, &self.turn.cut).await;
                self.fail(failed, answer);
            }
            Some(Err(error)) => {
                let failed = Failed::unreachable(&self.turn.model.provider, &error);
                if error.is_connect() {
                    self.fail(failed, answer);
                } else {
                    drop(answer.send(failed.response(self.format)));
                    self.settle_unknown(Some(failed.problem));
                }
            }
            // Nobody waits for it any more.
            None => self.settle_unknown(None),
        }
    }

    async fn pass_on(self, upstream: reqwest::Response, answer: oneshot::Sender<Response>) {
        let status = upstream.status();
        let headers = pick(upstream.headers(), &RETURNED);
        let (client, body) = Client::new();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // A client that has gone in the meantime drops the body, and the pump notices.
        drop(answer.send(response));
        let turn = &self.turn;
        let (whole, reader) = pump::pump(upstream, client, self.format, &turn.cut).await;
        let reading = reader.finish(whole, self.input_estimate);
        let problem = match &reading.failure {
            Some(words) => Some(problem::failed_inside(&turn.model, words)),
            None if !reading.complete => Some(problem::cut(&turn.model)),
            None => None,
        };
        let Reading { usage, estimated, complete, .. } = reading;
        let metering = Metering { status: status.as_u16(), usage, estimated, complete };
        self.turn.settle(&self.admitted, metering, problem);
    }

    fn fail(self, failed: Failed, answer: oneshot::Sender<Response>) {
        drop(answer.send(failed.response(self.format)));
        // A refused request is not charged for, by any provider.
        let (status, usage) = (failed.status, Usage::default());
        let metering = Metering { status, usage, estimated: false, complete: true };
        self.turn.settle(&self.admitted, metering, Some(failed.problem));
    }

    /// What the provider did with the request is not known: it is counted as read.
    fn settle_unknown(self, problem: Option<TurnError>) {
        let usage = Usage { input: self.input_estimate, ..Usage::default() };
        let metering = Metering { status: 0, usage, estimated: true, complete: false };
        self.turn.settle(&self.admitted, metering, problem);
    }
}

fn rules(model: &ChosenModel) -> Rules {
    Rules::of(model.provider.id == ANTHROPIC, &model.id, model.context_tokens)
}

fn pick(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for name in names {
        if let Some(value) = headers.get(name).filter(|value| value.len() <= MAX_HEADER) {
            picked.insert(name.clone(), value.clone());
        }
    }
    picked
}
