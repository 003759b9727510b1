//! The schema of a profile, which is read in more spellings than a derived one would tell of.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::profile::Profile;

impl JsonSchema for Profile {
    fn schema_name() -> Cow<'static, str> {
        "Profile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let permission = json!({"type": "string", "enum": ["allow", "ask", "deny"]});
        let permissions = |words: &str| {
            json!({
                "type": "object",
                "description": words,
                "properties": {"bash": permission, "edit": permission, "network": permission},
                "additionalProperties": false,
            })
        };
        let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let program = json!({
            "type": "object",
            "description": "A program in the sandbox.",
            "properties": {
                "command": {"type": "string"},
                "args": {"type": "array", "items": {"type": "string"}},
                "env": texts,
            },
            "required": ["command"],
        });
        let remote = json!({
            "type": "object",
            "description": "Reached over HTTP.",
            "properties": {"url": {"type": "string"}, "headers": texts},
            "required": ["url"],
        });
        json_schema!({
            "type": "object",
            "description": "How an agent is told to behave. A field that is not known is refused.",
            "properties": {
                "name": {"type": ["string", "null"], "description": "For people."},
                "model": {
                    "type": "string",
                    "description": "The model, as if it stood beside the profile.",
                },
                "systemPrompt": {
                    "type": ["string", "null"],
                    "description": "Instead of the agent's own.",
                },
                "instructions": {
                    "description": "In addition to the system prompt. Several become its lines.",
                    "anyOf": [
                        {"type": "string"},
                        {"type": "array", "items": {"type": "string"}},
                        {"type": "null"},
                    ],
                },
                "permissions": permissions("What it may do by itself: all, where nothing is said."),
                "permission": permissions("Another spelling of permissions."),
                "mcp": {
                    "type": "object",
                    "description": "Servers with further tools, by name.",
                    "additionalProperties": {"anyOf": [program, remote]},
                },
                "agent": {
                    "type": "object",
                    "description": "Another place of systemPrompt.",
                    "properties": {"systemPrompt": {"type": "string"}},
                    "additionalProperties": false,
                },
            },
            "additionalProperties": false,
        })
    }
}
