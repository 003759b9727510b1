//! Which models there are, from flags and the environment.

use sandbox_sdk::types::WireFormat;
use secrecy::{ExposeSecret, SecretString};

use super::provider::{ANTHROPIC, CUSTOM, OPENAI};

/// Requests to a model that one turn may make.
const MAX_REQUESTS: u32 = 60;
/// Where local model servers listen when nobody told them otherwise.
const LOCAL_SERVERS: [(&str, &str); 2] =
    [("ollama", "http://127.0.0.1:11434"), ("llama.cpp", "http://127.0.0.1:8080")];

/// Providers of models, and what agents do without being told. Nothing of it enters a sandbox.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Models")]
pub struct ModelsConfig {
    /// Key of Anthropic's API.
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, global = true)]
    pub anthropic_api_key: Option<SecretString>,
    /// Where Anthropic's API is [default: `https://api.anthropic.com`].
    #[arg(long, env = "ANTHROPIC_BASE_URL", global = true)]
    pub anthropic_base_url: Option<String>,
    /// Key of OpenAI's API.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, global = true)]
    pub openai_api_key: Option<SecretString>,
    /// Where OpenAI's API is [default: `https://api.openai.com/v1`].
    #[arg(long, env = "OPENAI_BASE_URL", global = true)]
    pub openai_base_url: Option<String>,
    /// Any other host or server that speaks OpenAI's protocol, with its `/v1`.
    #[arg(long, env = "SKEIN_MODEL_URL", global = true)]
    pub model_url: Option<String>,
    /// Key of that host, if it wants one.
    #[arg(long, env = "SKEIN_MODEL_KEY", hide_env_values = true, global = true)]
    pub model_key: Option<SecretString>,
    /// Protocols that host speaks: `chat-completions`, `responses`, `messages`.
    #[arg(
        long,
        env = "SKEIN_MODEL_FORMATS",
        value_delimiter = ',',
        default_value = "chat-completions",
        value_parser = wire_format,
        global = true
    )]
    pub model_formats: Vec<WireFormat>,
    /// Model of a turn that names none: `provider/model`, or a model's plain name.
    #[arg(long = "model", env = "SKEIN_MODEL", global = true)]
    pub default_model: Option<String>,
    /// Agent of a turn that names none [default: `opencode` or `skein` with a model, else `demo`].
    #[arg(long = "agent", env = "SKEIN_AGENT", global = true)]
    pub default_agent: Option<String>,
    /// Whether Ollama and llama.cpp are looked for on this machine.
    #[arg(
        long,
        env = "SKEIN_LOCAL_MODELS",
        value_enum,
        default_value_t = LocalModels::Auto,
        global = true
    )]
    pub local_models: LocalModels,
    /// Most requests to a model in one turn.
    #[arg(long, env = "SKEIN_MAX_MODEL_REQUESTS", default_value_t = MAX_REQUESTS, global = true)]
    pub max_model_requests: u32,
    /// Names and addresses of the local servers that are looked for; only tests change them.
    #[arg(skip = local_servers())]
    pub local_servers: Vec<(String, String)>,
}

/// Whether local model servers are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LocalModels {
    Auto,
    Off,
}

/// No provider, and nothing is looked for. Reads no environment.
impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            anthropic_api_key: None,
            anthropic_base_url: None,
            openai_api_key: None,
            openai_base_url: None,
            model_url: None,
            model_key: None,
            model_formats: vec![WireFormat::ChatCompletions],
            default_model: None,
            default_agent: None,
            local_models: LocalModels::Off,
            max_model_requests: MAX_REQUESTS,
            local_servers: local_servers(),
        }
    }
}

/// The key, unless it is empty: an empty variable is one that is not set.
pub(super) fn key(key: Option<&SecretString>) -> Option<SecretString> {
    let key = key?.expose_secret().trim();
    (!key.is_empty()).then(|| SecretString::from(key))
}

/// The text, unless it is empty.
pub(super) fn text(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The variables of a provider's key and of its address.
pub(super) fn variables(provider: &str) -> Option<(&'static str, &'static str)> {
    match provider {
        ANTHROPIC => Some(("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")),
        OPENAI => Some(("OPENAI_API_KEY", "OPENAI_BASE_URL")),
        CUSTOM => Some(("SKEIN_MODEL_KEY", "SKEIN_MODEL_URL")),
        _ => None,
    }
}

fn local_servers() -> Vec<(String, String)> {
    LOCAL_SERVERS.map(|(name, url)| (name.to_owned(), url.to_owned())).to_vec()
}

fn wire_format(name: &str) -> Result<WireFormat, String> {
    serde_json::from_value(name.into())
        .map_err(|_| "expected `chat-completions`, `responses` or `messages`".to_owned())
}
