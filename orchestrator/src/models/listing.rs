//! Which models the providers have, by their own word.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use reqwest::{Method, RequestBuilder};
use sandbox_sdk::types::{Extra, ModelInfo, WireFormat};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    kept::Learnt,
    provider::{ANTHROPIC, OPENAI, Provider},
};

const PATIENCE: Duration = Duration::from_secs(5);
/// On this machine something answers at once, or not at all.
const LOCAL_PATIENCE: Duration = Duration::from_secs(1);
/// Longest list that is read, in bytes. Large hosts have hundreds of models.
const MAX_LIST: usize = 8 << 20;

/// How long a list is good, and that there is none.
const FRESH: Duration = Duration::from_secs(60);
const FAILED_FRESH: Duration = Duration::from_secs(10);

/// What one provider has.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Nothing: there is no such local server.
    pub(super) provider: Option<Provider>,
    /// In the order of preference.
    pub(super) models: Vec<ModelInfo>,
    /// Names of what it lists besides: by those it holds no conversation.
    pub(super) others: Vec<String>,
    /// Why it told no models.
    problem: Option<String>,
}

/// All models that can be reached now.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those of the configuration, then the local servers that were found.
    pub(super) providers: Vec<Provider>,
    pub(super) models: Vec<ModelInfo>,
    /// Provider and name of what is listed besides.
    others: Vec<(String, String)>,
    /// Providers that told no models, and why not.
    problems: Vec<(String, String)>,
}

/// A list in the shape that all providers share, with the fields that some of them add.
#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    /// Seconds since the Unix epoch, or a date.
    created: Option<u64>,
    created_at: Option<String>,
    context_length: Option<u64>,
    context_window: Option<u64>,
    max_model_len: Option<u64>,
    max_input_tokens: Option<u64>,
}

impl Found {
    /// Asks a provider of the configuration. One that does not answer has the models that it had before.
    pub(super) async fn configured(provider: Provider, before: Option<Arc<Self>>) -> Learnt<Self> {
        match list(&provider).await {
            Ok(found) => (Self { provider: Some(provider), ..found }, FRESH),
            Err(problem) => {
                tracing::warn!(provider = provider.id, problem, "models not listed");
                let before = before.as_deref();
                let models = before.map(|before| before.models.clone()).unwrap_or_default();
                let others = before.map(|before| before.others.clone()).unwrap_or_default();
                let problem = Some(problem);
                (Self { provider: Some(provider), models, others, problem }, FAILED_FRESH)
            }
        }
    }

    /// Looks for a local server, which is there if it has models.
    pub(super) async fn local(mut provider: Provider) -> Learnt<Self> {
        let mut found = list(&provider).await.unwrap_or_default();
        if found.models.is_empty() {
            return (Self::default(), FAILED_FRESH);
        }
        if provider.id == "ollama" {
            provider.formats = ollama_formats(&provider).await;
            found.models.iter_mut().for_each(|model| model.formats.clone_from(&provider.formats));
        } else if let Some(context) = llama_context(&provider).await {
            // What the server was started with, which is less than what the model could do.
            found.models.iter_mut().for_each(|model| model.context_tokens = Some(context));
        }
        found.provider = Some(provider);
        (found, FRESH)
    }

    pub(super) fn model(&self, id: &str) -> Option<&ModelInfo> {
        self.models.iter().find(|model| model.id == id)
    }
}

impl Listing {
    pub(super) fn of(all: &[Arc<Found>]) -> Self {
        let mut listing = Self::default();
        for found in all {
            let Some(provider) = &found.provider else { continue };
            listing.providers.push(provider.clone());
            listing.models.extend(found.models.iter().cloned());
            let others = found.others.iter().map(|id| (provider.id.clone(), id.clone()));
            listing.others.extend(others);
            let problem = found.problem.clone();
            listing.problems.extend(problem.map(|problem| (provider.id.clone(), problem)));
        }
        listing
    }

    /// Why a provider told no models.
    pub(super) fn problem(&self, provider: &str) -> Option<&str> {
        let found = self.problems.iter().find(|(id, _)| id == provider);
        found.map(|(_, problem)| problem.as_str())
    }

    pub(super) fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// Provider and name of the models, of one provider or of all; where there is none, of what is
    /// listed besides.
    pub(super) fn names(&self, of: Option<&str>) -> Vec<(&str, &str)> {
        let is_asked_for = |provider: &str| of.is_none_or(|of| of == provider);
        let models = self.models.iter().map(|model| (model.provider.as_str(), model.id.as_str()));
        let models: Vec<_> = models.filter(|(provider, _)| is_asked_for(provider)).collect();
        if !models.is_empty() {
            return models;
        }
        let others = self.others.iter().map(|(provider, id)| (provider.as_str(), id.as_str()));
        others.filter(|(provider, _)| is_asked_for(provider)).collect()
    }
}

/// So many of them, in words.
pub(super) fn counted(models: usize) -> String {
    if models == 1 { "1 model".to_owned() } else { format!("{models} models") }
}

/// What it lists. Who serves that is not part of it.
async fn list(provider: &Provider) -> Result<Found, String> {
    let (name, version) = Provider::version();
    let request = provider.request(Method::GET, "/models").header(name, version);
    let request =
        request.query(if provider.id == ANTHROPIC { &[("limit", "1000")][..] } else { &[] });
    let patience = if provider.local { LOCAL_PATIENCE } else { PATIENCE };
    let list: List = get(request, patience).await?;
    let (mut models, others): (Vec<_>, Vec<_>) =
        list.data.into_iter().partition(|entry| is_offered(provider, &entry.id));
    if provider.id == ANTHROPIC || provider.id == OPENAI {
        // The middle of the range first, the newest of it: what most people want.
        models.sort_by_cached_key(|entry| {
            (is_special(&entry.id), std::cmp::Reverse((entry.created, entry.created_at.clone())))
        });
    }
    Ok(Found {
        models: models.into_iter().map(|entry| info(provider, entry)).collect(),
        others: others.into_iter().map(|entry| entry.id).collect(),
        ..Found::default()
    })
}

fn is_offered(provider: &Provider, id: &str) -> bool {
    !id.contains("embed") && (provider.id != OPENAI || is_for_chat(id))
}

fn info(provider: &Provider, entry: Entry) -> ModelInfo {
    let context =
        [entry.max_input_tokens, entry.context_length, entry.context_window, entry.max_model_len];
    ModelInfo {
        provider: provider.id.clone(),
        id: entry.id,
        formats: provider.formats.clone(),
        context_tokens: context.into_iter().flatten().find(|tokens| *tokens > 0),
        local: provider.local,
        extra: Extra::new(),
    }
}

/// OpenAI lists everything it has ever served beside the models that hold a conversation.
fn is_for_chat(id: &str) -> bool {
    let family = ["gpt-", "o1", "o3", "o4", "chatgpt-", "codex"];
    let other =
        ["audio", "realtime", "tts", "transcribe", "image", "search", "instruct", "whisper"];
    family.iter().any(|family| id.starts_with(family))
        && !other.iter().any(|part| id.contains(part))
}

/// Smaller, larger, dated or older than what one begins with.
fn is_special(id: &str) -> bool {
    let openai = ["mini", "nano", "pro", "chat", "codex", "preview", "-20", "gpt-3", "gpt-4"];
    let special = |parts: &[&str]| parts.iter().any(|part| id.contains(part));
    if id.starts_with("claude") { !id.contains("sonnet") } else { special(&openai) }
}

/// Newer versions of Ollama speak more than chat.
async fn ollama_formats(provider: &Provider) -> Vec<WireFormat> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let mut formats = vec![WireFormat::ChatCompletions];
    let answer = get::<Version>(provider.beside("/api/version"), LOCAL_PATIENCE).await;
    let Ok(Version { version }) = answer else { return formats };
    let mut numbers =
        version.split(['.', '-', '+']).map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    if version >= (0, 13, 3) {
        formats.push(WireFormat::Responses);
    }
    if version >= (0, 14, 0) {
        formats.push(WireFormat::Messages);
    }
    formats
}

async fn llama_context(provider: &Provider) -> Option<u64> {
    #[derive(Deserialize)]
    struct Props {
        default_generation_settings: Settings,
    }
    #[derive(Deserialize)]
    struct Settings {
        n_ctx: u64,
    }
    let props = get::<Props>(provider.beside("/props"), LOCAL_PATIENCE).await.ok()?;
    Some(props.default_generation_settings.n_ctx).filter(|tokens| *tokens > 0)
}

/// A JSON answer; otherwise words without an address, which may be private.
async fn get<T: DeserializeOwned>(
    request: RequestBuilder,
    patience: Duration,
) -> Result<T, String> {
    let reading = async {
        let mut answer = request.send().await.map_err(|_| "it can't be reached".to_owned())?;
        if !answer.status().is_success() {
            return Err(format!("it answered with status {}", answer.status().as_u16()));
        }
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| "it broke off".to_owned())? {
            if body.len() + piece.len() > MAX_LIST {
                return Err("its answer is too long".to_owned());
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|_| "its answer makes no sense".to_owned())
    };
    tokio::time::timeout(patience, reading)
        .await
        .unwrap_or_else(|_| Err("it is too slow".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_new_model_comes_before_special_ones() {
        for id in ["claude-sonnet-5", "gpt-5.4"] {
            assert!(!is_special(id), "{id}");
        }
        for id in ["claude-opus-5", "gpt-5-mini", "gpt-5-2025-08-07", "gpt-4o"] {
            assert!(is_special(id), "{id}");
        }
        assert!(
            is_for_chat("gpt-5.4") && !is_for_chat("gpt-4o-realtime") && !is_for_chat("dall-e-3")
        );
    }
}
