//! What a turn can be run with, and what it is run with.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox_sdk::types::{AgentCatalog, AgentInfo, BackendChoice, Extra, ModelChoice, TurnError};
use tokio::sync::Mutex;

use super::{
    ChosenModel, LocalModels, ModelsConfig, config,
    listing::Listing,
    provider::{ANTHROPIC, Clients, OPENAI, Provider},
    turn::turn_error,
};

/// The agent that needs no model.
pub(crate) const DEMO: &str = "demo";
/// Agents that a turn is run with when a model is there and nobody chose, the preferred one first.
const WITH_MODEL: [&str; 2] = ["opencode", "skein"];

/// What to do where there is no provider at all.
pub(super) const NOT_CONNECTED: &str = "No model is connected. Set ANTHROPIC_API_KEY, \
    OPENAI_API_KEY or SKEIN_MODEL_URL, or start Ollama.";

/// How long a list of models is good, and one that a provider was missing from.
const FRESH: Duration = Duration::from_secs(60);
const PARTIAL_FRESH: Duration = Duration::from_secs(10);
/// Longest name of a model.
const MAX_NAME: usize = 256;

/// Agents and models.
#[derive(Debug)]
pub(super) struct Catalog {
    agents: Vec<AgentInfo>,
    pub(super) configured: Vec<Provider>,
    /// Names and addresses of the local servers that are looked for.
    pub(super) local: Vec<(String, String)>,
    default_agent: Option<String>,
    default_model: Option<String>,
    clients: Clients,
    listing: Mutex<Option<(Instant, Arc<Listing>)>>,
}

/// What a turn is run with.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) agent: String,
    pub(super) model: Option<ChosenModel>,
}

impl Choice {
    /// The model's name for people and records: `provider/model`, or the agent that needs none.
    pub(crate) fn model_name(&self) -> String {
        self.model.as_ref().map_or_else(|| self.agent.clone(), ChosenModel::name)
    }

    /// The turn is metered by the gateway.
    pub(crate) fn is_metered(&self) -> bool {
        self.model.is_some()
    }
}

impl Catalog {
    pub(super) fn new(config: &ModelsConfig, agents: Vec<AgentInfo>) -> Result<Self, String> {
        let clients =
            Clients::new().map_err(|error| format!("no HTTP client could be made: {error}"))?;
        let local = match config.local_models {
            LocalModels::Auto => config.local_servers.clone(),
            LocalModels::Off => Vec::new(),
        };
        Ok(Self {
            agents,
            configured: Provider::configured(config, &clients)?,
            local,
            default_agent: config::text(config.default_agent.as_ref()).map(str::to_owned),
            default_model: config::text(config.default_model.as_ref()).map(str::to_owned),
            clients,
            listing: Mutex::default(),
        })
    }

    /// All of it, for people to choose from.
    pub(super) async fn all(&self) -> AgentCatalog {
        let listing = self.listing().await;
        let default_model = self.default_of(&listing).ok();
        let mut models = listing.models.clone();
        // The default need not be listed: providers serve models under more names than they list.
        if let Some(model) = &default_model
            && listing.model(&model.provider.id, &model.id).is_none()
        {
            models.insert(0, model.info());
        }
        AgentCatalog {
            agents: self.agents.clone(),
            models,
            default_agent: self.agent_without_choice(default_model.is_some()).to_owned(),
            default_model: default_model.map(|model| model.name()),
            extra: Extra::new(),
        }
    }

    /// What a turn is run with that was asked for like this.
    ///
    /// # Errors
    /// Code and words, when there is no such agent or model, or when they can't work together.
    pub(super) async fn choose(&self, asked: &BackendChoice) -> Result<Choice, TurnError> {
        let named = asked.model.as_ref().filter(|model| !is_empty(model));
        let agent = match asked.kind.as_deref() {
            Some(kind) => kind,
            // The demo agent's model goes by its name.
            None if named.and_then(|model| model.model.as_deref()) == Some(DEMO) => DEMO,
            None => {
                let has_model = named.is_some() || self.has_model().await;
                self.agent_without_choice(has_model)
            }
        };
        let agent = self.agent(agent)?;
        if agent.formats.is_empty() {
            return match named {
                Some(model) if model.model.as_deref() != Some(DEMO) => Err(turn_error(
                    "MODEL_NOT_FOUND",
                    format!("The agent {} works without a model.", agent.id),
                )),
                _ => Ok(Choice { agent: agent.id.clone(), model: None }),
            };
        }
        let mut model = match named {
            Some(named) => self.named(named).await?,
            None => self.default_model().await?,
        };
        let format = agent.format_for(&model.info()).ok_or_else(|| {
            let words = format!("The agent {} can't speak to {}.", agent.id, model.provider.id);
            turn_error("MODEL_NOT_FOUND", words)
        })?;
        model.format = format;
        Ok(Choice { agent: agent.id.clone(), model: Some(model) })
    }

    fn agent(&self, id: &str) -> Result<&AgentInfo, TurnError> {
        let found = self.agents.iter().find(|agent| agent.id == id);
        let missing = |words: String| turn_error("AGENT_NOT_AVAILABLE", words);
        match found {
            Some(agent) if agent.available => Ok(agent),
            Some(agent) => {
                let problem = agent.problem.as_deref().unwrap_or("it is not installed");
                Err(missing(format!("The agent {} is not available here: {problem}.", agent.id)))
            }
            None => {
                let available = self.agents.iter().filter(|agent| agent.available);
                let names: Vec<_> = available.map(|agent| agent.id.as_str()).collect();
                let names = names.join(", ");
                Err(missing(format!("backend.type must be one that is available here: {names}.")))
            }
        }
    }

    fn agent_without_choice(&self, has_model: bool) -> &str {
        if let Some(agent) = &self.default_agent {
            return agent;
        }
        let available =
            |id: &&str| self.agents.iter().any(|agent| agent.id == *id && agent.available);
        match WITH_MODEL.into_iter().find(available) {
            Some(agent) if has_model => agent,
            _ => DEMO,
        }
    }

    /// Whether a turn that names no model finds one. Asks the network only if it has to.
    async fn has_model(&self) -> bool {
        if !self.configured.is_empty() {
            return true;
        }
        !self.local.is_empty() && !self.listing().await.models.is_empty()
    }

    async fn named(&self, named: &ModelChoice) -> Result<ChosenModel, TurnError> {
        let invalid = |words: String| turn_error("MODEL_NOT_FOUND", words);
        let name = named.model.as_deref().map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.len() > MAX_NAME || name.chars().any(char::is_control)) {
            return Err(invalid("backend.model.model is not the name of a model.".to_owned()));
        }
        if named.api_key.as_deref().is_some_and(|key| !key.trim().is_empty())
            || named.base_url.is_some()
        {
            let provider = Provider::foreign(named, &self.configured, &self.clients);
            let provider = provider.map_err(|problem| invalid(format!("{problem}.")))?;
            let id =
                name.ok_or_else(|| invalid("backend.model.model must name a model.".into()))?;
            return Ok(ChosenModel::new(provider, id, None));
        }
        match (&named.provider, name) {
            (Some(provider), Some(id)) => self.of_provider(provider, id).await,
            (Some(provider), None) => {
                let listing = self.listing().await;
                let model = listing.first_of(provider);
                match (listing.provider(provider), model) {
                    (Some(provider), Some(model)) => {
                        Ok(ChosenModel::new(provider.clone(), &model.id, model.context_tokens))
                    }
                    _ => Err(unknown_provider(provider)),
                }
            }
            (None, Some(name)) => self.by_name(name).await,
            (None, None) => self.default_model().await,
        }
    }

    async fn default_model(&self) -> Result<ChosenModel, TurnError> {
        match &self.default_model {
            Some(name) => self.by_name(name).await,
            None => self.default_of(&*self.listing().await),
        }
    }

    fn default_of(&self, listing: &Listing) -> Result<ChosenModel, TurnError> {
        if let Some(name) = &self.default_model {
            return find(name, listing).ok_or_else(|| unknown_model(name));
        }
        let first = listing.providers.iter().find_map(|provider| {
            let model = listing.first_of(&provider.id)?;
            Some(ChosenModel::new(provider.clone(), &model.id, model.context_tokens))
        });
        first.ok_or_else(|| {
            let words = if self.configured.is_empty() {
                NOT_CONNECTED
            } else {
                "The provider tells no models. Name one with SKEIN_MODEL."
            };
            turn_error("MODEL_NOT_CONNECTED", words)
        })
    }

    async fn of_provider(&self, provider: &str, id: &str) -> Result<ChosenModel, TurnError> {
        let configured = self.configured.iter().find(|known| known.id == provider);
        match configured {
            // Their models are known well enough to do without the list.
            Some(known) if matches!(provider, ANTHROPIC | OPENAI) => {
                let listing =
                    self.listing.try_lock().ok().and_then(|kept| Some(kept.as_ref()?.1.clone()));
                let context = listing.and_then(|all| all.model(provider, id)?.context_tokens);
                Ok(ChosenModel::new(known.clone(), id, context))
            }
            _ => {
                let listing = self.listing().await;
                let known = listing.provider(provider).ok_or_else(|| unknown_provider(provider))?;
                let context = listing.model(provider, id).and_then(|model| model.context_tokens);
                Ok(ChosenModel::new(known.clone(), id, context))
            }
        }
    }

    async fn by_name(&self, name: &str) -> Result<ChosenModel, TurnError> {
        if let Some((provider, id)) = name.split_once('/')
            && matches!(provider, ANTHROPIC | OPENAI)
            && self.configured.iter().any(|known| known.id == provider)
        {
            return self.of_provider(provider, id).await;
        }
        find(name, &*self.listing().await).ok_or_else(|| unknown_model(name))
    }

    pub(super) async fn listing(&self) -> Arc<Listing> {
        let mut kept = self.listing.lock().await;
        if let Some((read, listing)) = kept.as_ref() {
            let fresh = if listing.is_partial() { PARTIAL_FRESH } else { FRESH };
            if read.elapsed() < fresh {
                return listing.clone();
            }
        }
        let before = kept.as_ref().map(|(_, listing)| listing.as_ref());
        let listing = Listing::read(&self.configured, &self.local, &self.clients, before).await;
        let listing = Arc::new(listing);
        *kept = Some((Instant::now(), listing.clone()));
        listing
    }
}

/// The model of a name that may begin with its provider's.
fn find(name: &str, listing: &Listing) -> Option<ChosenModel> {
    let chosen = |provider: &Provider, id: &str| {
        let context = listing.model(&provider.id, id).and_then(|model| model.context_tokens);
        ChosenModel::new(provider.clone(), id, context)
    };
    // Before the split: names of hosts with many vendors have a slash of their own.
    if let Some(model) = listing.models.iter().find(|model| model.id == name) {
        return Some(chosen(listing.provider(&model.provider)?, name));
    }
    if let Some((provider, id)) = name.split_once('/')
        && let Some(provider) = listing.provider(provider)
    {
        return Some(chosen(provider, id));
    }
    let family = if name.starts_with("claude") {
        listing.provider(ANTHROPIC)
    } else if ["gpt-", "o1", "o3", "o4", "codex"].iter().any(|family| name.starts_with(family)) {
        listing.provider(OPENAI)
    } else {
        None
    };
    // With one provider there is no doubt who is meant.
    let only = || (listing.providers.len() == 1).then(|| listing.providers.first()).flatten();
    family.or_else(only).map(|provider| chosen(provider, name))
}

fn is_empty(model: &ModelChoice) -> bool {
    model.provider.is_none()
        && model.model.is_none()
        && model.api_key.is_none()
        && model.base_url.is_none()
}

fn unknown_model(name: &str) -> TurnError {
    turn_error("MODEL_NOT_FOUND", format!("There is no model {name} here."))
}

fn unknown_provider(id: &str) -> TurnError {
    let id: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
    turn_error("MODEL_NOT_FOUND", format!("There is no provider {id} here."))
}
