//! One real request to a model, for people who want to know whether what they configured works.
//!
//! It takes the way of an agent's requests, so that what it says holds for them, too. The answers are
//! for the operator alone: they name variables and addresses, and never a key or a part of one.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, header::CONTENT_TYPE},
};
use reqwest::{Method, header::AUTHORIZATION};
use sandbox_sdk::types::{AgentInfo, BackendChoice, TurnError, TurnLimits, WireFormat};
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    ChosenModel, LocalModels, Metered, ModelGateway, ModelsConfig, Opened,
    catalog::NOT_CONNECTED,
    config,
    provider::{CUSTOM, OPENAI, Provider},
    routes::{Door, MAX_BODY, path_of},
    turn::turn_error,
};

/// The name that the request goes by in place of an agent, a sandbox and a turn.
const CHECK: &str = "check";
/// Enough for models that think before they speak; providers refuse less than 16.
const MOST_TOKENS: u64 = 64;
/// A model on a small machine may have to be loaded first.
const PATIENCE: Duration = Duration::from_secs(180);
/// For the figures of an answer that is over.
const SETTLING: Duration = Duration::from_secs(5);
/// Models that are named when there is not the one that was asked for.
const MOST_NAMES: usize = 5;

/// Makes one small request to the model of a turn that names none.
///
/// # Errors
/// One line that begins with what is wrong and says what to do: `not configured`, `no key`, `key
/// refused`, `no such model`, `not reachable`, `quota used up`, `no answer`.
pub async fn check_model(config: &ModelsConfig) -> Result<String, String> {
    let gateway = ModelGateway::new(config, || vec![asker()])
        .map_err(|problem| format!("not configured: {problem}"))?;
    if let Some(missing) = gateway.missing_provider(config).await {
        return Err(missing);
    }
    let asked = BackendChoice { kind: Some(CHECK.to_owned()), ..BackendChoice::default() };
    let choice = match gateway.choose(&asked).await {
        Ok(choice) => choice,
        Err(problem) => return Err(gateway.without_choice(&problem).await),
    };
    let Some(model) = &choice.model else { return Err(format!("no key: {NOT_CONNECTED}")) };
    let broken = |problem: TurnError| format!("no answer: {}", problem.message);
    let limits = TurnLimits { max_output_tokens: Some(MOST_TOKENS), ..TurnLimits::default() };
    let opened = gateway.open(CHECK, CHECK, &choice, &limits).map_err(broken)?;
    let metered = gateway.ask_once(opened).await.map_err(broken)?;
    match &metered.problem {
        None => Ok(answered(model, &metered)),
        Some(problem) => Err(gateway.explain(model, problem).await),
    }
}

/// Stands where an agent would, and speaks all that a provider may speak.
fn asker() -> AgentInfo {
    AgentInfo {
        id: CHECK.to_owned(),
        name: CHECK.to_owned(),
        available: true,
        formats: vec![WireFormat::Messages, WireFormat::Responses, WireFormat::ChatCompletions],
        ..AgentInfo::default()
    }
}

fn answered(model: &ChosenModel, metered: &Metered) -> String {
    let milliseconds: u64 = metered.requests.iter().map(|request| request.duration_ms).sum();
    let written = metered.usage.output_tokens;
    let read = metered.usage.total_tokens.unwrap_or_default().saturating_sub(written);
    let name = model.name();
    format!("ok: {name} answered in {milliseconds} ms ({read} tokens read, {written} written)")
}

impl ModelGateway {
    /// Why the model that was named can't even be asked: its provider is not there.
    async fn missing_provider(&self, config: &ModelsConfig) -> Option<String> {
        let name = config::text(config.default_model.as_ref())?;
        let (provider, _) = name.split_once('/')?;
        let catalog = &self.0.catalog;
        // A host with many vendors has models that are called like another provider's.
        if catalog.configured.iter().any(|known| known.id == provider || known.id == CUSTOM) {
            return None;
        }
        if let Some((key, url)) = config::variables(provider) {
            let variable = if provider == CUSTOM { url } else { key };
            return Some(format!("no key: set {variable} to use {name}"));
        }
        let (id, url) = config.local_servers.iter().find(|(id, _)| id == provider)?;
        if catalog.listing().await.provider(id).is_some() {
            return None;
        }
        Some(match config.local_models == LocalModels::Off {
            true => format!("not reachable: {id} is not looked for: SKEIN_LOCAL_MODELS is off"),
            false => format!("not reachable: no {id} with a model answers at {url}; start it"),
        })
    }

    /// Why there is no model to ask.
    async fn without_choice(&self, problem: &TurnError) -> String {
        let catalog = &self.0.catalog;
        let listing = catalog.listing().await;
        if listing.providers.is_empty() {
            return format!("no key: {NOT_CONNECTED}");
        }
        // A provider that lists no models may have a reason, and that is what has to be mended.
        for provider in &catalog.configured {
            if let Some(trouble) = trouble(provider).await {
                return trouble;
            }
        }
        let known = listing.names(None);
        let hint = match known.first() {
            // OpenAI's models are told by their names, and another host's may be called otherwise.
            Some(&(OPENAI, _)) if listing.models.is_empty() => {
                "; for a host other than OpenAI's, use SKEIN_MODEL_URL in place of OPENAI_BASE_URL"
            }
            _ => "",
        };
        let known: Vec<_> = known.iter().map(|(provider, id)| format!("{provider}/{id}")).collect();
        let words = problem.message.trim_end_matches('.');
        format!("no such model: {words}{}{hint}", names(&known))
    }

    /// Sends the request through a door of its own and reads the answer to its end.
    async fn ask_once(&self, opened: Opened) -> Result<Metered, TurnError> {
        let nothing = || turn_error("INTERNAL", "The request could not be made.");
        let (Some(access), Some(meter)) = (opened.access, opened.meter) else {
            return Err(nothing());
        };
        let text = "Answer with the word OK.";
        let body = match access.format {
            WireFormat::Responses => json!({ "input": text, "stream": true }),
            WireFormat::Messages | WireFormat::ChatCompletions => {
                json!({ "messages": [{ "role": "user", "content": text }], "stream": true })
            }
        };
        let request = Request::post(path_of(access.format))
            .header(AUTHORIZATION, format!("Bearer {}", access.token))
            .body(Body::from(body.to_string()))
            .map_err(|_| nothing())?;
        let door = Door {
            gateway: self.clone(),
            sandbox_id: CHECK.into(),
            memory: Arc::new(Semaphore::new(MAX_BODY)),
        };
        let asking = async {
            let answer = door.forward(request, false).await.unwrap_or_else(|refused| refused);
            let kind = answer.headers().get(CONTENT_TYPE);
            let streams =
                kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            // How it ended stands in the record.
            drop(axum::body::to_bytes(answer.into_body(), usize::MAX).await);
            streams
        };
        let Ok(streams) = timeout(PATIENCE, asking).await else {
            let words = format!("The model was silent for {} s.", PATIENCE.as_secs());
            return Err(turn_error("MODEL_SILENT", words));
        };
        let mut metered = meter.close(SETTLING).await;
        let request = metered.requests.last().ok_or_else(nothing)?;
        // Many a web page is served under any path, and says so with a good status.
        if metered.problem.is_none() && request.estimated && !streams {
            let words = "What answers there is no model.";
            metered.problem = Some(turn_error("MODEL_UNREACHABLE", words));
        }
        Ok(metered)
    }

    /// A refusal in a line that says what to do about it.
    async fn explain(&self, model: &ChosenModel, problem: &TurnError) -> String {
        let provider = &model.provider;
        let (address, words) = (provider.address(), &problem.message);
        match problem.code.as_deref() {
            Some("MODEL_NOT_FOUND") => {
                let listing = self.0.catalog.listing().await;
                let known = listing.names(Some(provider.id.as_str()));
                let known: Vec<_> = known.iter().map(|(_, id)| (*id).to_owned()).collect();
                let hint = if known.is_empty() { "; is the address right?" } else { "" };
                format!("no such model: {address} has no {}{}{hint}", model.id, names(&known))
            }
            // The gateway tells agents neither addresses nor causes, so they are looked for here.
            Some("MODEL_UNREACHABLE") => match trouble(provider).await {
                Some(trouble) => trouble,
                None => format!("not reachable: {address}: {words}"),
            },
            Some("MODEL_KEY_REFUSED") => key_refused(provider),
            Some("MODEL_QUOTA_EXCEEDED") => format!("quota used up: {words}"),
            _ => format!("no answer: {words}"),
        }
    }
}

/// What keeps a provider from listing its models, if anything does.
async fn trouble(provider: &Provider) -> Option<String> {
    let (name, version) = Provider::version();
    let asked = provider.request(Method::GET, "/models").header(name, version).send();
    let address = provider.address();
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => match answer.status().as_u16() {
            401 | 403 => Some(key_refused(provider)),
            // Not every host has a list.
            200..=399 | 404 => None,
            status => Some(format!("no answer: {address} answers with status {status}")),
        },
        Ok(Err(error)) => Some(format!("not reachable: {address}: {}", innermost(&error))),
        Err(_) => Some(format!("not reachable: {address}: no answer in time")),
    }
}

/// Without the provider's own words: some quote a part of the key.
fn key_refused(provider: &Provider) -> String {
    let (id, address) = (&provider.id, provider.address());
    let variable = config::variables(id).map_or("a key", |(key, _)| key);
    if provider.has_key() {
        format!("key refused: {address} does not accept the key in {variable}")
    } else {
        format!("no key: {address} asks for one; set {variable}")
    }
}

/// The first of them, as the end of a sentence.
fn names(known: &[String]) -> String {
    match known.len() {
        0 => String::new(),
        all if all <= MOST_NAMES => format!("; there is {}", known.join(", ")),
        all => {
            let more = all - MOST_NAMES;
            format!("; there is {} and {more} more", known[..MOST_NAMES].join(", "))
        }
    }
}

/// The cause below all others: the outer ones say only that a request was not sent.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}
