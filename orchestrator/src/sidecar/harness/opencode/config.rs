//! OpenCode's configuration, which it takes from its environment, above whatever the workspace holds.

use sandbox_sdk::types::WireFormat;
use serde_json::{Map, Value, json};

use super::super::Setup;
use crate::profile::{McpServer, Permission};

/// Name of the model gateway among its providers.
pub(super) const PROVIDER: &str = "skein";
/// Tokens that a model can read at once, when nobody knows.
const CONTEXT: u64 = 128_000;
/// Most tokens of one answer.
const OUTPUT: u64 = 32_000;

pub(super) fn config(setup: &Setup, url: &str, key: &str, instructions: Option<String>) -> String {
    let model = &setup.model;
    // All three are built in, so nothing has to be fetched.
    let package = match model.format {
        WireFormat::Messages => "@ai-sdk/anthropic",
        WireFormat::Responses => "@ai-sdk/openai",
        WireFormat::ChatCompletions => "@ai-sdk/openai-compatible",
    };
    let context = model.context_tokens.unwrap_or(CONTEXT);
    let limit = json!({ "context": context, "output": OUTPUT.min(context / 4) });
    let described = json!({ "name": model.model, "limit": limit, "tool_call": true });
    let provider = json!({
        "npm": package,
        "name": model.provider,
        "options": { "baseURL": format!("{url}/v1"), "apiKey": key },
        "models": { model.model.as_str(): described },
    });
    let name = format!("{PROVIDER}/{}", model.model);
    let profile = &setup.profile;
    let mut config = json!({
        "autoupdate": false,
        "share": "disabled",
        "model": name,
        "small_model": name,
        "enabled_providers": [PROVIDER],
        "provider": { PROVIDER: provider },
        "permission": permissions(setup),
        // A refusal is an answer, not the end of the turn.
        "experimental": { "continue_loop_on_deny": true },
        // Nobody sees the title that it would ask the model for.
        "agent": { "title": { "disable": true } },
        "mcp": profile.mcp.iter().map(|(name, server)| (name.clone(), mcp_server(server)))
            .collect::<Map<_, _>>(),
    });
    if let Some(prompt) = &profile.system_prompt {
        config["agent"]["build"] = json!({ "prompt": prompt });
    }
    if let Some(path) = instructions {
        config["instructions"] = json!([path]);
    }
    config.to_string()
}

/// What may be done, and what is asked for by its events.
fn permissions(setup: &Setup) -> Value {
    let asked = setup.profile.permissions;
    let word = |permission: Permission| match permission {
        Permission::Allow => "allow",
        Permission::Ask => "ask",
        Permission::Deny => "deny",
    };
    json!({
        "bash": word(asked.bash),
        "edit": word(asked.edit),
        "webfetch": word(asked.network),
        "websearch": word(asked.network),
        "question": "allow",
        "external_directory": "allow",
        "doom_loop": "deny",
    })
}

fn mcp_server(server: &McpServer) -> Value {
    match server {
        McpServer::Local { command, args, env } => {
            let command: Vec<_> = std::iter::once(command).chain(args).collect();
            json!({ "type": "local", "command": command, "environment": env })
        }
        McpServer::Remote { url, headers } => {
            json!({ "type": "remote", "url": url, "headers": headers })
        }
    }
}
