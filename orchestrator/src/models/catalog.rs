//! What a turn can be run with.
//!
//! Each provider is asked for its models by itself, in the background. Most turns are run with what is
//! known of them, however old, so that none waits for a provider that it does not need.

mod choose;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::join_all};
use sandbox_sdk::types::{AgentCatalog, AgentInfo, Extra, ModelInfo, WireFormat};

use super::{
    LocalModels, ModelsConfig, config,
    kept::Kept,
    listing::{Found, Listing},
    provider::{Clients, Provider},
};
use choose::Look;

pub(crate) use choose::Choice;

/// The agent that needs no model.
pub(crate) const DEMO: &str = "demo";

/// What to do where there is no provider at all.
pub(super) const NOT_CONNECTED: &str = "No model is connected. Set ANTHROPIC_API_KEY, \
    OPENAI_API_KEY or SKEIN_MODEL_URL, or start Ollama.";

/// Agents and models.
#[derive(Debug)]
pub(super) struct Catalog {
    agents: Kept<Vec<AgentInfo>>,
    pub(super) configured: Vec<Provider>,
    /// Where models may be: the configured providers, then the local servers that are looked for.
    sources: Vec<Source>,
    default_agent: Option<String>,
    default_model: Option<String>,
    clients: Clients,
}

#[derive(Debug)]
struct Source {
    id: String,
    /// It is there, whether or not it tells its models.
    configured: Option<Provider>,
    found: Kept<Found>,
}

impl Catalog {
    /// `agents`: looks which agents there are now.
    pub(super) fn new(
        config: &ModelsConfig,
        agents: impl Fn() -> Vec<AgentInfo> + Clone + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let clients =
            Clients::new().map_err(|error| format!("no HTTP client could be made: {error}"))?;
        let configured = Provider::configured(config, &clients)?;
        let local = match config.local_models {
            LocalModels::Auto => &config.local_servers[..],
            LocalModels::Off => &[],
        };
        let local = local.iter().filter_map(|(id, url)| {
            let chat = vec![WireFormat::ChatCompletions];
            let provider = Provider::own(id, url, None, chat, &clients).ok()?;
            // A server that is configured by its address is not looked for a second time.
            let is_known = configured.iter().any(|known| known.is_at_same_place(&provider));
            (!is_known).then(|| Source::local(provider))
        });
        Ok(Self {
            agents: look_for(agents),
            sources: configured.iter().cloned().map(Source::configured).chain(local).collect(),
            default_agent: config::text(config.default_agent.as_ref()).map(str::to_owned),
            default_model: config::text(config.default_model.as_ref()).map(str::to_owned),
            configured,
            clients,
        })
    }

    /// Asks everybody in the background.
    pub(super) fn refresh(&self) {
        self.agents.refresh();
        self.ask_all();
    }

    fn ask_all(&self) {
        self.sources.iter().for_each(|source| source.found.refresh());
    }

    /// All of it, for people to choose from.
    pub(super) async fn all(&self) -> AgentCatalog {
        let (agents, listing) = tokio::join!(self.agents.newest(), self.listing());
        let default_model = self.default_model(Look::Newest).await.ok();
        let mut models = listing.models;
        // The default need not be listed: providers serve models under more names than they list.
        if let Some(default) = &default_model {
            let is_it =
                |model: &ModelInfo| model.provider == default.provider.id && model.id == default.id;
            if !models.iter().any(is_it) {
                models.insert(0, default.info());
            }
        }
        AgentCatalog {
            models,
            default_agent: self.agent_without_choice(&agents, default_model.is_some()).to_owned(),
            default_model: default_model.map(|model| model.name()),
            agents: Arc::unwrap_or_clone(agents),
            extra: Extra::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn has_heard_of(&self, provider: &str) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.id == provider && source.found.last().is_some())
    }

    /// What all providers have. None that was slow the last time is waited for.
    pub(super) async fn listing(&self) -> Listing {
        let all = join_all(self.sources.iter().map(|source| source.found.newest())).await;
        Listing::of(&all)
    }
}

impl Source {
    fn configured(provider: Provider) -> Self {
        let (id, configured) = (provider.id.clone(), Some(provider.clone()));
        let found = Kept::new(move |before| Found::configured(provider.clone(), before).boxed());
        Self { id, configured, found }
    }

    fn local(provider: Provider) -> Self {
        let id = provider.id.clone();
        let found = Kept::new(move |_| Found::local(provider.clone()).boxed());
        Self { id, configured: None, found }
    }
}

/// The agents as they are installed at the moment. Looking is cheap, and is done each time: one may have
/// been installed since.
fn look_for(
    agents: impl Fn() -> Vec<AgentInfo> + Clone + Send + Sync + 'static,
) -> Kept<Vec<AgentInfo>> {
    Kept::new(move |before| {
        let looking = tokio::task::spawn_blocking(agents.clone());
        let looked = async move {
            let before = || before.map(Arc::unwrap_or_clone).unwrap_or_default();
            (looking.await.unwrap_or_else(|_| before()), Duration::ZERO)
        };
        looked.boxed()
    })
}
