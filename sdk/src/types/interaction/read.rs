//! Reads interactions in every spelling.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{
    AnswerField, AnswerKind, AnswerOption, AnswerSpec, InteractionAnswer, InteractionKind,
    InteractionPart, InteractionRequest, InteractionStatus, Outcome,
};
use crate::types::{
    Extra,
    fields::{optional, read_fields, required},
};

read_fields! {
    AnswerSpec { fields: optional("fields"); extra }
    InteractionAnswer { id: required("id"), outcome: required("outcome"), data: optional("data") }
    InteractionPart {
        request: required("request"),
        status: optional("status"),
        answer: optional("answer");
        extra
    }
}

impl From<&str> for InteractionKind {
    fn from(kind: &str) -> Self {
        match kind {
            "question" => Self::Question,
            "permission" => Self::Permission,
            "plan" => Self::Plan,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for InteractionKind {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(source)?.as_str()))
    }
}

impl Outcome {
    /// Everything that an answer may come to.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Declined, Self::Cancelled];

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "accepted" | "approved" => Self::Accepted,
            "declined" | "rejected" => Self::Declined,
            "cancelled" | "canceled" => Self::Cancelled,
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let word = String::deserialize(source)?;
        Self::of_word(&word).ok_or_else(|| D::Error::custom("an unknown outcome"))
    }
}

impl<'de> Deserialize<'de> for InteractionStatus {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(source)?.as_str() {
            "pending" => Self::Pending,
            "expired" => Self::Expired,
            word => match Outcome::of_word(word) {
                Some(outcome) => outcome.into(),
                None => return Err(D::Error::custom("an unknown status")),
            },
        })
    }
}

impl From<Outcome> for InteractionStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Declined => Self::Declined,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

impl<'de> Deserialize<'de> for InteractionRequest {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::from_fields(Extra::deserialize(source)?).map_err(D::Error::custom)
    }
}

impl InteractionRequest {
    fn from_fields(mut fields: Extra) -> serde_json::Result<Self> {
        // What this version does not know can't be offered, but the rest can.
        let allowed_outcomes = match fields.remove("allowedOutcomes") {
            Some(Value::Array(words)) => {
                words.iter().filter_map(|word| Outcome::of_word(word.as_str()?)).collect()
            }
            _ => Outcome::ALL.to_vec(),
        };
        Ok(Self {
            id: required(&mut fields, "id")?,
            kind: optional(&mut fields, "kind")?,
            title: optional(&mut fields, "title")?,
            body: optional(&mut fields, "body")?,
            subject: optional(&mut fields, "subject")?,
            answer_spec: optional(&mut fields, "answerSpec")?,
            allowed_outcomes,
            timeout_ms: optional(&mut fields, "timeoutMs")?,
            extra: fields,
        })
    }
}

impl<'de> Deserialize<'de> for AnswerField {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::from_fields(Extra::deserialize(source)?).map_err(D::Error::custom)
    }
}

impl AnswerField {
    fn from_fields(mut fields: Extra) -> serde_json::Result<Self> {
        let name = if fields.contains_key("kind") { "kind" } else { "type" };
        let kind: String = required(&mut fields, name)?;
        let kind = match kind.as_str() {
            "text" => AnswerKind::Text,
            "number" => AnswerKind::Number,
            "boolean" => AnswerKind::Boolean,
            "select" => AnswerKind::Select {
                options: optional(&mut fields, "options")?,
                multi: optional(&mut fields, "multi")?,
                allow_custom: optional(&mut fields, "allowCustom")?,
            },
            "secret" => AnswerKind::Secret,
            _ => AnswerKind::Other(kind),
        };
        Ok(Self {
            key: required(&mut fields, "key")?,
            label: optional(&mut fields, "label")?,
            kind,
            required: optional(&mut fields, "required")?,
            extra: fields,
        })
    }
}

/// An option without a label is called by its value.
impl<'de> Deserialize<'de> for AnswerOption {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut fields = Extra::deserialize(source)?;
        let mut read = || {
            let value: String = required(&mut fields, "value")?;
            let label: Option<String> = optional(&mut fields, "label")?;
            let description = optional(&mut fields, "description")?;
            serde_json::Result::Ok((value, label, description))
        };
        let (value, label, description) = read().map_err(D::Error::custom)?;
        let label = label.unwrap_or_else(|| value.clone());
        Ok(Self { value, label, description, extra: fields })
    }
}
