//! Schemas of the types that are written and read by hand. All others are derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    AnswerField, AnswerOption, FileMode, InteractionKind, ModelChoice, Part, SandboxStatus,
};

impl JsonSchema for SandboxStatus {
    fn schema_name() -> Cow<'static, str> {
        "SandboxStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Where a sandbox stands. There may be further words later.",
            "examples": [
                "pending", "provisioning", "running", "stopped", "failed", "expired", "deleted"
            ],
        })
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The nine permission bits: octal text, or the number itself.",
            "anyOf": [
                {"type": "string", "pattern": "^0{0,2}[0-7]{1,3}$"},
                {"type": "integer", "minimum": 0, "maximum": 0o777},
            ],
        })
    }
}

impl JsonSchema for InteractionKind {
    fn schema_name() -> Cow<'static, str> {
        "InteractionKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What an agent wants of a person. There may be further words later.",
            "examples": ["question", "permission", "plan"],
        })
    }
}

impl JsonSchema for AnswerField {
    fn schema_name() -> Cow<'static, str> {
        "AnswerField".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let option = generator.subschema_for::<AnswerOption>();
        json_schema!({
            "type": "object",
            "description": "One thing to be filled in. Only a select has options.",
            "properties": {
                "key": {"type": "string"},
                "label": {"type": "string"},
                "kind": {
                    "type": "string",
                    "examples": ["text", "number", "boolean", "select", "secret"],
                },
                "options": {"type": "array", "items": option},
                "multi": {"type": "boolean"},
                "allowCustom": {"type": "boolean"},
                "required": {"type": "boolean"},
            },
            "required": ["key", "kind", "required"],
        })
    }
}

/// Its body is told apart by a `type` to which there may be more later.
impl JsonSchema for Part {
    fn schema_name() -> Cow<'static, str> {
        "Part".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "One piece of a message. Which other fields it has, its type says.",
            "properties": {
                "id": {"type": "string"},
                "sessionID": {"type": "string"},
                "messageID": {"type": "string"},
                "type": {
                    "type": "string",
                    "examples": [
                        "text", "reasoning", "tool", "file", "step-start", "step-finish",
                        "interaction"
                    ],
                },
            },
            "required": ["id", "sessionID", "messageID"],
        })
    }
}

/// A model as it may stand in a backend: all of it, or its name alone.
pub(super) fn model(generator: &mut SchemaGenerator) -> Schema {
    let choice = generator.subschema_for::<ModelChoice>();
    json_schema!({
        "description": "The model. A name alone may have its other fields beside it.",
        "anyOf": [{"type": "string"}, choice, {"type": "null"}],
    })
}
