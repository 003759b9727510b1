//! Speaks to the model behind the gateway, in the format that the model's provider understands.

mod chat;
mod connection;
mod failure;
mod messages;
mod sse;
mod think_tags;

use std::collections::VecDeque;

use sandbox_sdk::types::WireFormat;
use serde_json::Value;

pub(super) use failure::Failure;

use super::{conversation::Message, toolbox::Spec};
use crate::sidecar::ModelAccess;
use connection::Body;

/// What is asked of a model.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) system: &'a str,
    pub(super) messages: &'a [Message],
    /// Where in `messages` the current turn begins.
    pub(super) turn_start: usize,
    /// Empty: the model can't call tools.
    pub(super) tools: &'a [Spec],
    /// Whether it may use them now.
    pub(super) may_call: bool,
    /// Tokens that an answer may have, where the format wants to know.
    pub(super) max_tokens: u64,
    /// Tokens that it may think for. None: as the provider has it.
    pub(super) thinking: Option<u64>,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// With the name of the field it came in.
    Thinking(String, &'static str),
    Signature(String),
    Redacted(String),
    /// A call begins, or goes on: pieces of one call have the same index.
    Call {
        index: u64,
        id: String,
        name: String,
        arguments: String,
    },
    /// Tokens read for this answer, those from a cache included.
    Read(u64),
    Stop(Stop),
    /// Nothing more will come.
    End,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    #[default]
    Done,
    /// The answer was not ready when its room was used up.
    Length,
    /// The provider or its model would not answer this.
    Refused,
}

pub(super) struct Model {
    gateway_url: String,
    access: ModelAccess,
}

/// Reads the events of one format.
#[derive(Debug)]
enum Reader {
    Messages,
    Chat(chat::Reader),
}

/// An answer that streams. Dropping it hangs up.
pub(super) struct Answering {
    body: Body,
    events: sse::Events,
    reader: Reader,
    ready: VecDeque<Piece>,
    /// The reason for the end was told: an end of the connection is no accident any more.
    told: bool,
    over: bool,
}

impl Model {
    /// `gateway_url`: where the model gateway is heard inside the sandbox.
    pub(super) fn new(gateway_url: String, access: ModelAccess) -> Self {
        Self { gateway_url, access }
    }

    /// Whether it is served by somebody who may not understand its calls.
    pub(super) fn may_write_calls(&self) -> bool {
        self.access.format == WireFormat::ChatCompletions
    }

    /// Sends a request, and returns once the answer begins.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Answering, Failure> {
        let model = &self.access.model;
        let (path, body, reader) = match self.access.format {
            WireFormat::Messages => {
                let body = messages::body(model, request);
                ("/v1/messages", body, Reader::Messages)
            }
            WireFormat::ChatCompletions => {
                let body = chat::body(model, request);
                ("/v1/chat/completions", body, Reader::Chat(chat::Reader::default()))
            }
            WireFormat::Responses => {
                let message = "This agent doesn't speak the model's format.".to_owned();
                return Err(Failure::Refused { status: 501, message, retry_after: None });
            }
        };
        let body = connection::post(&self.gateway_url, path, &self.access.token, &body).await?;
        let (events, ready) = (sse::Events::default(), VecDeque::new());
        Ok(Answering { body, events, reader, ready, told: false, over: false })
    }
}

impl Answering {
    /// The next piece; none after the last.
    ///
    /// # Errors
    /// When the answer breaks off, makes no sense, or is an error after all.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        loop {
            match self.ready.pop_front() {
                Some(Piece::End) => self.over = true,
                Some(piece) => {
                    self.told |= matches!(piece, Piece::Stop(_));
                    return Ok(Some(piece));
                }
                None if self.over => return Ok(None),
                None => {
                    if let Some(event) = self.events.next() {
                        self.ready.extend(self.reader.read(&event)?);
                    } else if let Some(bytes) = self.body.next().await? {
                        self.events.push(&bytes)?;
                    } else {
                        self.ready.extend(self.reader.finish());
                        self.end()?;
                    }
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Failure> {
        let told = self.told || self.ready.iter().any(|piece| matches!(piece, Piece::Stop(_)));
        if !told {
            return Err(Failure::Broken("the answer broke off".into()));
        }
        self.over = true;
        Ok(())
    }
}

impl Reader {
    fn read(&mut self, event: &str) -> Result<Vec<Piece>, Failure> {
        if event.trim() == "[DONE]" {
            let mut pieces = self.finish();
            pieces.push(Piece::End);
            return Ok(pieces);
        }
        let event: Value = serde_json::from_str(event)
            .map_err(|_| Failure::Broken("the answer was malformed".into()))?;
        if let Some(failure) = Failure::of_event(&event) {
            return Err(failure);
        }
        Ok(match self {
            Self::Messages => messages::read(&event),
            Self::Chat(reader) => reader.read(&event),
        })
    }

    /// What was held back.
    fn finish(&mut self) -> Vec<Piece> {
        match self {
            Self::Messages => Vec::new(),
            Self::Chat(reader) => reader.finish(),
        }
    }
}

#[cfg(test)]
mod tests;
