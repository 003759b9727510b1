//! Carries a request to the provider and the answer back, and counts.
//!
//! The exchange with the provider is a task of its own: when the client goes away it reads on, so
//! that what was used is known, and when the provider breaks off the client sees the break.

mod head;
mod problem;
mod pump;
mod small;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode, response::Response};
use bytes::Bytes;
use sandbox_sdk::types::{TurnError, WireFormat};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::sleep,
};

use super::{
    ChosenModel,
    answer::refusal,
    budget::Wanted,
    provider::{ANTHROPIC, OPENAI},
    request::{ModelRequest, Rules},
    turn::{Admitted, Denied, Heard, Metering, OpenTurn},
    usage::{Reading, Usage},
};
pub(super) use head::Head;
use head::{RETURNED, pick};
use problem::Failed;
use pump::{Client, Ended};
use small::{PATIENCE, Small};

/// How long a request is seen through whose client has gone, so that what it used is heard. No longer:
/// others may wait for what is set aside for it, and a server on this machine would work for nobody.
const DRAIN: Duration = Duration::from_secs(30);
/// Whoever answers for the provider lost patience with it. It may be writing all the same.
const BEHIND_TIMED_OUT: [u16; 2] = [504, 524];

/// Why a request did not go out.
#[derive(Debug)]
pub(super) enum Refused {
    Invalid(String),
    Denied(Denied),
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
    let anthropic = turn.model.provider.id == ANTHROPIC;
    let wanted = Wanted {
        hash: request.hash,
        input: request.outline.most(rules),
        usual: request.outline.usual(rules),
        outline: request.outline.clone(),
        caches: request.caches,
        // Anthropic looks into its cache for who asks, the others for everybody.
        reads_cache: request.caches || !anthropic,
        max_output: request.max_output(),
        least_output: request.least_output,
    };
    // Held from before it is let out, so that a turn that closes waits for what has been.
    let _counted = turn.exchanges.token();
    let admitted = turn.admit(&wanted, head.format).await.map_err(Refused::Denied)?;
    let openai = turn.model.provider.id == OPENAI;
    let body = request.into_body(admitted.reservation.clamp, openai);
    let (answer, answered) = oneshot::channel();
    let exchange = Exchange { turn: turn.clone(), format: head.format, admitted, drain: DRAIN };
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
    let small = Small::read(answer, PATIENCE, &turn.closed).await;
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
    /// How long it goes on after its client has gone.
    drain: Duration,
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
            sleep(self.drain).await;
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
                    // It never went out.
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
        let (ended, reader) =
            pump::pump(upstream, client, self.format, self.drain, &turn.cut).await;
        let reading = reader.finish(ended == Ended::Whole, self.admitted.expected);
        let problem = match &reading.failure {
            Some(words) => Some(problem::failed_inside(&turn.model, words)),
            None if !reading.complete => Some(problem::cut(&turn.model)),
            None => None,
        };
        let Reading { usage, estimated, has_read, complete, .. } = reading;
        let heard = match ended {
            Ended::Left if estimated && has_read => Heard::Read,
            Ended::Left if estimated => Heard::Nothing,
            _ => Heard::All,
        };
        let metering = Metering { status: status.as_u16(), usage, estimated, complete, heard };
        self.turn.settle(&self.admitted, metering, problem);
    }

    fn fail(self, failed: Failed, answer: oneshot::Sender<Response>) {
        drop(answer.send(failed.response(self.format)));
        // A refused request is not charged for, by any provider.
        let (status, usage) = (failed.status, Usage::default());
        let heard = if BEHIND_TIMED_OUT.contains(&status) { Heard::Nothing } else { Heard::All };
        let metering = Metering { status, usage, estimated: false, complete: true, heard };
        self.turn.settle(&self.admitted, metering, Some(failed.problem));
    }

    /// What the provider did with the request is not known: it is counted as read, and it may be
    /// writing the whole of its answer.
    fn settle_unknown(self, problem: Option<TurnError>) {
        let usage = self.admitted.expected;
        let heard = Heard::Nothing;
        let metering = Metering { status: 0, usage, estimated: true, complete: false, heard };
        self.turn.settle(&self.admitted, metering, problem);
    }
}

fn rules(model: &ChosenModel) -> Rules {
    Rules::of(model.provider.id == ANTHROPIC, &model.id, model.context_tokens)
}

#[cfg(test)]
mod tests;
