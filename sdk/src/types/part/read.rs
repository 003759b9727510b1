//! Reads parts in every spelling.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{
    FilePart, Part, PartBody, ReasoningPart, StepFinishPart, StepStartPart, StepTokens, TextPart,
    TimeSpan, ToolPart, ToolState,
};
use crate::types::{
    Extra,
    fields::{optional, read_fields, required},
};

/// Spellings of a tool call's id.
const CALL_IDS: [&str; 4] = ["callID", "callId", "toolCallId", "toolUseId"];

read_fields! {
    TextPart { text: optional("text"); extra }
    ReasoningPart { text: optional("text"), time: optional("time"); extra }
    StepStartPart { ; extra }
    StepFinishPart {
        reason: optional("reason"),
        tokens: optional("tokens"),
        cost: optional("cost");
        extra
    }
    StepTokens {
        input: optional("input"),
        output: optional("output"),
        reasoning: optional("reasoning");
        extra
    }
    TimeSpan { start: optional("start"), end: optional("end") }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut fields = Extra::deserialize(source)?;
        let mut text = |name| optional(&mut fields, name).map_err(D::Error::custom);
        let (id, session_id, message_id) = (text("id")?, text("sessionID")?, text("messageID")?);
        Ok(Self { id, session_id, message_id, body: PartBody::from_fields(fields) })
    }
}

impl<'de> Deserialize<'de> for PartBody {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Ok(Self::from_fields(Extra::deserialize(source)?))
    }
}

impl PartBody {
    /// A part that is not what its type promises is kept as it came.
    fn from_fields(fields: Extra) -> Self {
        Self::known(&fields).and_then(Result::ok).unwrap_or(Self::Other(fields))
    }

    fn known(fields: &Extra) -> Option<serde_json::Result<Self>> {
        let kind = fields.get("type")?.as_str()?;
        let mut rest = fields.clone();
        rest.remove("type");
        Some(match kind {
            "text" => TextPart::from_fields(rest).map(Self::Text),
            "reasoning" => ReasoningPart::from_fields(rest).map(Self::Reasoning),
            "tool" => ToolPart::from_fields(rest).map(Self::Tool),
            "file" => FilePart::from_fields(rest).map(Self::File),
            "step-start" => StepStartPart::from_fields(rest).map(Self::StepStart),
            "step-finish" => StepFinishPart::from_fields(rest).map(Self::StepFinish),
            "interaction" => {
                serde_json::from_value(rest.into()).map(|part| Self::Interaction(Box::new(part)))
            }
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for ToolPart {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::from_fields(Extra::deserialize(source)?).map_err(D::Error::custom)
    }
}

impl ToolPart {
    fn from_fields(mut fields: Extra) -> serde_json::Result<Self> {
        let given = CALL_IDS.into_iter().find_map(|name| fields.get(name)?.as_str());
        let call_id = given.unwrap_or_default().to_owned();
        fields.remove(CALL_IDS[0]);
        let tool = required(&mut fields, "tool")?;
        let mut rest: Extra = required(&mut fields, "state")?;
        let state = ToolState::take(&mut rest)?;
        if !rest.is_empty() {
            fields.insert("state".to_owned(), Value::Object(rest));
        }
        Ok(Self {
            call_id,
            tool,
            state,
            metadata: optional(&mut fields, "metadata")?,
            extra: fields,
        })
    }
}

impl<'de> Deserialize<'de> for ToolState {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::take(&mut Extra::deserialize(source)?).map_err(D::Error::custom)
    }
}

impl ToolState {
    /// Takes what it knows out of the fields.
    fn take(fields: &mut Extra) -> serde_json::Result<Self> {
        let status: String = required(fields, "status")?;
        let input = optional(fields, "input")?;
        Ok(match status.as_str() {
            "pending" => Self::Pending { input },
            "running" => Self::Running {
                input,
                title: optional(fields, "title")?,
                time: optional(fields, "time")?,
            },
            "completed" => Self::Completed {
                input,
                output: optional(fields, "output")?,
                title: optional(fields, "title")?,
                time: optional(fields, "time")?,
            },
            "error" | "failed" => Self::Error {
                input,
                error: optional(fields, "error")?,
                output: optional(fields, "output")?,
                time: optional(fields, "time")?,
            },
            _ => return Err(serde_json::Error::custom("an unknown status")),
        })
    }
}

impl<'de> Deserialize<'de> for FilePart {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::from_fields(Extra::deserialize(source)?).map_err(D::Error::custom)
    }
}

impl FilePart {
    fn from_fields(mut fields: Extra) -> serde_json::Result<Self> {
        let media_type = match optional(&mut fields, "mediaType")? {
            None => optional(&mut fields, "mime")?,
            given => given,
        };
        Ok(Self {
            filename: optional(&mut fields, "filename")?,
            media_type,
            url: optional(&mut fields, "url")?,
            extra: fields,
        })
    }
}
