//! The events of an interaction.

use serde::Serialize;

use super::{InteractionPart, InteractionRequest, InteractionStatus, cancel_reason};
use crate::types::{Extra, Part, PartBody, fields::read_fields};

/// Data of `interaction`: an agent asks, and waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InteractionAsked {
    pub request: InteractionRequest,
    /// As in a [`Part`]: the request is a piece of this session's …
    #[serde(rename = "sessionID", skip_serializing_if = "String::is_empty")]
    pub session_id: String,
    /// … and of this message. Services that do not say leave it empty.
    #[serde(rename = "messageID", skip_serializing_if = "String::is_empty")]
    pub message_id: String,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `interaction.resolved`: a person has answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InteractionResolved {
    pub id: String,
    /// What it came to.
    pub status: InteractionStatus,
    /// What was answered, without its secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Extra>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `interaction.cancel`: nobody can answer any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct InteractionCancelled {
    pub id: String,
    /// See [`cancel_reason`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

read_fields! {
    InteractionAsked {
        request: required("request"),
        session_id: optional("sessionID"),
        message_id: optional("messageID");
        extra
    }
    InteractionResolved {
        id: required("id"),
        status: required("status"),
        answer: optional("answer");
        extra
    }
    InteractionCancelled { id: required("id"), reason: optional("reason"); extra }
}

impl InteractionAsked {
    /// The request as a part of its message.
    pub fn into_part(self) -> Part {
        Part {
            id: self.request.id.clone(),
            session_id: self.session_id,
            message_id: self.message_id,
            body: PartBody::Interaction(Box::new(InteractionPart::pending(self.request))),
        }
    }
}

impl InteractionCancelled {
    /// What it leaves behind.
    pub fn status(&self) -> InteractionStatus {
        match self.reason.as_deref() {
            Some(cancel_reason::EXPIRED | "timeout") => InteractionStatus::Expired,
            Some(cancel_reason::GRANTED) => InteractionStatus::Accepted,
            _ => InteractionStatus::Cancelled,
        }
    }
}
