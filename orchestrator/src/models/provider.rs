//! Who serves models: an address, a key, and the formats that are understood there.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
    redirect,
};
use sandbox_sdk::types::{ModelChoice, WireFormat};
use secrecy::{ExposeSecret, SecretString};

use super::{
    ModelsConfig,
    address::{self, GuardedResolver, Reach},
    config,
};

pub(super) const ANTHROPIC: &str = "anthropic";
pub(super) const OPENAI: &str = "openai";
pub(super) const CUSTOM: &str = "custom";
/// Every name that a provider goes by where no address comes with it.
pub(crate) const PROVIDERS: [&str; 5] = [ANTHROPIC, OPENAI, CUSTOM, "ollama", "llama.cpp"];

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Longest silence of a provider. A local model may read for minutes before it says anything.
const SILENCE: Duration = Duration::from_secs(600);
const ANTHROPIC_VERSION: &str = "2023-06-01";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A provider of models. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    /// `anthropic`, `openai`, `custom`, `ollama`, `llama.cpp`.
    pub(super) id: String,
    pub(super) formats: Vec<WireFormat>,
    /// On this machine.
    pub(super) local: bool,
    /// Ends with the `/v1`, without a slash.
    base: Arc<str>,
    key: Option<SecretString>,
    http: Client,
}

/// The clients that providers share: each goes only where it may.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// To addresses of the configuration, through the environment's proxy.
    out: Client,
    /// To this machine, which no proxy leads to.
    here: Client,
    foreign_public: Client,
    foreign_loopback: Client,
}

impl Clients {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        // A redirect would carry the key to an address that nobody checked.
        let plain = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .connect_timeout(CONNECT_PATIENCE)
                .read_timeout(SILENCE)
                .tcp_nodelay(true)
        };
        let guarded = |reach| plain().no_proxy().dns_resolver(Arc::new(GuardedResolver(reach)));
        Ok(Self {
            out: plain().build()?,
            here: plain().no_proxy().build()?,
            foreign_public: guarded(Reach::Public).build()?,
            foreign_loopback: guarded(Reach::Loopback).build()?,
        })
    }

    fn to(&self, url: &Url) -> Client {
        if address::is_loopback(url) { self.here.clone() } else { self.out.clone() }
    }
}

impl Provider {
    /// The providers of the configuration, the preferred one first.
    pub(super) fn configured(
        config: &ModelsConfig,
        clients: &Clients,
    ) -> Result<Vec<Self>, String> {
        let mut found = Vec::new();
        let hosted = [
            (
                ANTHROPIC,
                &config.anthropic_api_key,
                &config.anthropic_base_url,
                "ANTHROPIC_BASE_URL",
            ),
            (OPENAI, &config.openai_api_key, &config.openai_base_url, "OPENAI_BASE_URL"),
        ];
        for (id, key, url, variable) in hosted {
            let (key, url) = (config::key(key.as_ref()), config::text(url.as_ref()));
            // An address without a key means a host that asks for none.
            if key.is_none() && url.is_none() {
                continue;
            }
            let url = url.unwrap_or(official(id));
            let provider = Self::own(id, url, key, formats(id), clients);
            found.push(provider.map_err(|problem| format!("{variable}: {problem}"))?);
        }
        if let Some(url) = config::text(config.model_url.as_ref()) {
            let key = config::key(config.model_key.as_ref());
            let provider = Self::own(CUSTOM, url, key, config.model_formats.clone(), clients);
            found.push(provider.map_err(|problem| format!("SKEIN_MODEL_URL: {problem}"))?);
        }
        Ok(found)
    }

    /// A provider at an address of the operator's.
    pub(super) fn own(
        id: &str,
        url: &str,
        key: Option<SecretString>,
        formats: Vec<WireFormat>,
        clients: &Clients,
    ) -> Result<Self, String> {
        let url = address::plain(url)?;
        Self {
            id: id.to_owned(),
            formats,
            local: address::is_loopback(&url),
            http: clients.to(&url),
            base: base(id, &url),
            key,
        }
        .checked()
    }

    /// The provider of a call that brings its own key or address. The operator's keys stay out of it.
    pub(super) fn foreign(
        choice: &ModelChoice,
        configured: &[Self],
        clients: &Clients,
    ) -> Result<Self, String> {
        let key = choice.api_key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        let key = key.map(SecretString::from);
        let id = choice.provider.as_deref().unwrap_or(CUSTOM);
        if let Some(url) = &choice.base_url {
            let (url, reach) =
                address::foreign(url).map_err(|problem| format!("model.baseUrl: {problem}"))?;
            let http = match reach {
                Reach::Public => clients.foreign_public.clone(),
                Reach::Loopback => clients.foreign_loopback.clone(),
            };
            return Self {
                id: id.chars().filter(|c| !c.is_control()).take(64).collect(),
                formats: formats(id),
                local: reach == Reach::Loopback,
                base: base(id, &url),
                http,
                key,
            }
            .checked();
        }
        if let Some(known) = configured.iter().find(|provider| provider.id == id) {
            return Self { key, ..known.clone() }.checked();
        }
        match id {
            ANTHROPIC | OPENAI => Self::own(id, official(id), key, formats(id), clients),
            _ => Err("model.baseUrl must say where that provider is".to_owned()),
        }
    }

    fn checked(self) -> Result<Self, String> {
        match &self.key {
            Some(key) if HeaderValue::from_str(key.expose_secret()).is_err() => {
                Err("the key holds characters that a key can't have".to_owned())
            }
            _ => Ok(self),
        }
    }

    /// A request to the path below the `/v1`, with the key.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let Some(key) = &self.key else { return request };
        // Anthropic's own way for Anthropic, and the one that everybody else took from OpenAI.
        let (name, value) = if self.id == ANTHROPIC {
            (API_KEY, key.expose_secret().to_owned())
        } else {
            (AUTHORIZATION, format!("Bearer {}", key.expose_secret()))
        };
        match HeaderValue::try_from(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                request.header(name, value)
            }
            // Checked when the provider was made.
            Err(_) => request,
        }
    }

    /// Where it is, the `/v1` included. It never holds a secret.
    pub(super) fn address(&self) -> &str {
        &self.base
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// A request to a path beside the `/v1`, for what only local servers have.
    pub(super) fn beside(&self, path: &str) -> RequestBuilder {
        let root = self.base.strip_suffix("/v1").unwrap_or(&self.base);
        self.http.get(format!("{root}{path}"))
    }

    pub(super) fn is_at_same_place(&self, other: &Self) -> bool {
        self.base == other.base
    }

    /// The version header that the messages format can't do without.
    pub(super) fn version() -> (HeaderName, HeaderValue) {
        let name = HeaderName::from_static("anthropic-version");
        (name, HeaderValue::from_static(ANTHROPIC_VERSION))
    }

    /// The text without the key, should somebody have put it there.
    pub(super) fn redact(&self, text: &str) -> String {
        match &self.key {
            Some(key) if key.expose_secret().len() >= 4 => {
                text.replace(key.expose_secret(), "[redacted]")
            }
            _ => text.to_owned(),
        }
    }
}

fn official(id: &str) -> &'static str {
    if id == ANTHROPIC { "https://api.anthropic.com" } else { "https://api.openai.com/v1" }
}

fn formats(id: &str) -> Vec<WireFormat> {
    match id {
        ANTHROPIC => vec![WireFormat::Messages],
        OPENAI => vec![WireFormat::Responses, WireFormat::ChatCompletions],
        _ => vec![WireFormat::ChatCompletions],
    }
}

/// People write these addresses with and without the `/v1`. Anthropic's are meant without by custom,
/// the others' with it, or with whatever path that host has instead.
fn base(id: &str, url: &Url) -> Arc<str> {
    let text = url.as_str().trim_end_matches('/');
    let bare = url.path().trim_end_matches('/').is_empty();
    let complete = if id == ANTHROPIC { text.ends_with("/v1") } else { !bare };
    if complete { text.into() } else { format!("{text}/v1").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_of(id: &str, url: &str) -> String {
        base(id, &Url::parse(url).unwrap()).to_string()
    }

    #[test]
    fn an_address_is_understood_with_and_without_its_version() {
        for url in ["https://a.example", "https://a.example/", "https://a.example/v1/"] {
            assert_eq!(base_of(OPENAI, url), "https://a.example/v1");
            assert_eq!(base_of(ANTHROPIC, url), "https://a.example/v1");
        }
        assert_eq!(base_of(CUSTOM, "https://a.example/api/v4"), "https://a.example/api/v4");
        assert_eq!(base_of(ANTHROPIC, "https://a.example/api"), "https://a.example/api/v1");
    }

    #[test]
    fn a_key_is_never_shown() {
        let clients = Clients::new().unwrap();
        let config = ModelsConfig {
            anthropic_api_key: Some("sk-hunter2".into()),
            ..ModelsConfig::default()
        };
        let providers = Provider::configured(&config, &clients).unwrap();
        assert!(!format!("{config:?} {providers:?}").contains("hunter2"));
        assert_eq!(providers[0].redact("no sk-hunter2 here"), "no [redacted] here");
        let request = providers[0].request(Method::GET, "/models").build().unwrap();
        assert!(!format!("{request:?}").contains("hunter2"));
    }

    #[test]
    fn the_operators_key_does_not_follow_a_callers_address() {
        let clients = Clients::new().unwrap();
        let config = ModelsConfig {
            anthropic_api_key: Some("sk-operator".into()),
            ..ModelsConfig::default()
        };
        let configured = Provider::configured(&config, &clients).unwrap();
        let choice = ModelChoice {
            provider: Some(ANTHROPIC.to_owned()),
            base_url: Some("https://evil.example".to_owned()),
            ..ModelChoice::default()
        };
        let provider = Provider::foreign(&choice, &configured, &clients).unwrap();
        let request = provider.request(Method::GET, "/models").build().unwrap();
        assert!(request.headers().is_empty(), "{:?}", request.headers());
    }

    #[test]
    fn a_key_that_would_break_a_header_is_refused_without_quoting_it() {
        let clients = Clients::new().unwrap();
        let choice = ModelChoice {
            provider: Some(OPENAI.to_owned()),
            api_key: Some("hunter2\r\nhost: evil".to_owned()),
            ..ModelChoice::default()
        };
        let problem = Provider::foreign(&choice, &[], &clients).unwrap_err();
        assert!(!problem.contains("hunter2"));
        assert!(!format!("{choice:?}").contains("hunter2"));
    }
}
