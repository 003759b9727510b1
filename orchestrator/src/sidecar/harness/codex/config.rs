//! What Codex is told: a configuration file, and the parameters of a thread.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::Setup;
use crate::profile::{McpServer, Permissions};

/// Environment variable in which it looks for its key.
pub(super) const KEY_VARIABLE: &str = "SKEIN_MODEL_KEY";
/// Name of the model gateway among its providers.
const PROVIDER: &str = "skein";

#[derive(Serialize)]
struct Config<'a> {
    model: &'a str,
    model_provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_context_window: Option<u64>,
    check_for_update_on_startup: bool,
    /// Nobody reads what it says of its features.
    suppress_unstable_features_warning: bool,
    /// Without this every turn takes five seconds more where there is no network.
    analytics: Switch,
    otel: Otel,
    features: Features,
    tools: Tools,
    model_providers: BTreeMap<&'static str, Provider<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mcp_servers: BTreeMap<&'a str, Server<'a>>,
}

#[derive(Serialize)]
struct Switch {
    enabled: bool,
}

#[derive(Serialize)]
struct Otel {
    exporter: &'static str,
}

#[derive(Serialize)]
struct Features {
    /// Its question to the person, outside of its plan mode, too.
    default_mode_request_user_input: bool,
}

#[derive(Serialize)]
struct Tools {
    web_search: bool,
}

#[derive(Serialize)]
struct Provider<'a> {
    name: &'a str,
    base_url: String,
    env_key: &'static str,
    wire_api: &'static str,
    request_max_retries: u32,
    stream_max_retries: u32,
    stream_idle_timeout_ms: u32,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Server<'a> {
    Local { command: &'a str, args: &'a [String], env: &'a BTreeMap<String, String> },
    Remote { url: &'a str, http_headers: &'a BTreeMap<String, String> },
}

impl<'a> Server<'a> {
    fn of(server: &'a McpServer) -> Self {
        match server {
            McpServer::Local { command, args, env } => Self::Local { command, args, env },
            McpServer::Remote { url, headers } => Self::Remote { url, http_headers: headers },
        }
    }
}

/// The configuration file.
///
/// # Errors
/// When something of it can't be said in that format.
pub(super) fn config(setup: &Setup, url: &str) -> Result<String, toml::ser::Error> {
    let provider = Provider {
        name: &setup.model.provider,
        base_url: format!("{url}/v1"),
        env_key: KEY_VARIABLE,
        wire_api: "responses",
        request_max_retries: 4,
        stream_max_retries: 3,
        stream_idle_timeout_ms: 600_000,
    };
    let config = Config {
        model: &setup.model.model,
        model_provider: PROVIDER,
        model_context_window: setup.model.context_tokens,
        check_for_update_on_startup: false,
        suppress_unstable_features_warning: true,
        analytics: Switch { enabled: false },
        otel: Otel { exporter: "none" },
        features: Features { default_mode_request_user_input: true },
        tools: Tools { web_search: setup.profile.permissions.network.is_allowed() },
        model_providers: [(PROVIDER, provider)].into(),
        mcp_servers: setup
            .profile
            .mcp
            .iter()
            .map(|(name, given)| (name.as_str(), Server::of(given)))
            .collect(),
    };
    toml::to_string(&config)
}

/// Parameters of a thread. The sandbox around it is the boundary; Codex's own can't be made in it.
pub(super) fn thread(setup: &Setup, cwd: &str) -> Map<String, Value> {
    let Permissions { bash, edit, .. } = setup.profile.permissions;
    // Asked for everything but what only reads, the sidecar answers by the profile, or asks a person.
    let policy = if bash.is_allowed() && edit.is_allowed() { "never" } else { "untrusted" };
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| drop(parameters.insert(name.to_owned(), value));
    set("cwd", json!(cwd));
    set("model", json!(setup.model.model));
    set("modelProvider", json!(PROVIDER));
    set("approvalPolicy", json!(policy));
    set("sandbox", json!("danger-full-access"));
    if let Some(prompt) = &setup.profile.system_prompt {
        set("baseInstructions", json!(prompt));
    }
    if let Some(instructions) = &setup.profile.instructions {
        set("developerInstructions", json!(instructions));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agents::Cli, profile::Profile, sidecar::ModelAccess};

    #[test]
    fn the_configuration_is_valid_toml_and_names_no_token() {
        let model = ModelAccess {
            token: "secret".into(),
            provider: "a \"quoted\" one".into(),
            model: "m".into(),
            format: sandbox_sdk::types::WireFormat::Responses,
            context_tokens: Some(1000),
        };
        let mut profile = Profile::default();
        let server =
            McpServer::Local { command: "x".into(), args: vec!["y".into()], env: BTreeMap::new() };
        profile.mcp.insert("a".into(), server);
        let text =
            config(&Setup { cli: Cli::Codex, model, profile }, "http://127.0.0.1:1").unwrap();
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(
            read["model_providers"]["skein"]["base_url"].as_str().unwrap(),
            "http://127.0.0.1:1/v1"
        );
        assert_eq!(read["mcp_servers"]["a"]["command"].as_str().unwrap(), "x");
        assert!(!text.contains("secret"));
    }
}
