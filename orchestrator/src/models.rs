//! The model gateway: it stands between every agent and every model.
//!
//! An agent in a sandbox has no provider's key. It has a Unix socket that only its
//! sandbox has, and a token that is good while its turn runs. Behind the socket the gateway adds the
//! key, passes the request on and the answer back, and reads from the provider's own answer what it
//! used: no agent's report of itself can be billed from. It is also where a turn's limits are kept.

pub(crate) mod address;
mod answer;
mod budget;
mod catalog;
mod check;
mod config;
mod forward;
mod kept;
mod listing;
mod overview;
mod provider;
mod request;
mod routes;
mod socket;
#[cfg(test)]
mod tests;
mod turn;
mod usage;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest;
use sandbox_sdk::types::{
    AgentCatalog, AgentInfo, BackendChoice, Extra, ModelInfo, TurnError, TurnLimits, WireFormat,
};

pub(crate) use catalog::{Choice, DEMO};
pub use check::check_model;
pub use config::{LocalModels, ModelsConfig};
pub(crate) use provider::PROVIDERS;
pub(crate) use socket::ModelSocket;
pub(crate) use turn::{Metered, TurnMeter};

use crate::sidecar::ModelAccess;
use catalog::Catalog;
use provider::Provider;
use turn::{OpenTurn, turn_error};

/// The gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ModelGateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    max_requests: u32,
    /// Running turns by the hash of their tokens: how long a look-up takes tells nothing of a token.
    turns: Mutex<HashMap<[u8; 32], Arc<OpenTurn>>>,
}

/// A model, and who serves it.
#[derive(Clone, Debug)]
struct ChosenModel {
    provider: Provider,
    id: String,
    /// What the agent has to speak.
    format: WireFormat,
    context_tokens: Option<u64>,
}

/// A turn that may use its model, if it has one.
#[derive(Debug)]
pub(crate) struct Opened {
    /// How the agent reaches its model.
    pub(crate) access: Option<ModelAccess>,
    pub(crate) meter: Option<TurnMeter>,
}

impl ModelGateway {
    /// A gateway to the providers of the configuration. `agents` looks which agents there are now.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// Words that name the variable, when an address or a key can't be one.
    pub(crate) fn new(
        config: &ModelsConfig,
        agents: impl Fn() -> Vec<AgentInfo> + Clone + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let catalog = Catalog::new(config, agents)?;
        let max_requests = config.max_model_requests;
        Ok(Self(Arc::new(Inner { catalog, max_requests, turns: Mutex::default() })))
    }

    /// Asks the providers for their models, in the background: the first turn shall find them known.
    pub(crate) fn refresh(&self) {
        self.0.catalog.refresh();
    }

    /// Agents and models that a turn can be run with now.
    pub(crate) async fn catalog(&self) -> AgentCatalog {
        self.0.catalog.all().await
    }

    /// What a turn is run with that was asked for like this.
    ///
    /// # Errors
    /// Code and words, when there is no such agent or model, or when they can't work together.
    pub(crate) async fn choose(&self, asked: &BackendChoice) -> Result<Choice, TurnError> {
        self.0.catalog.choose(asked).await
    }

    /// Lets a turn's agent use its model, from its own sandbox, until the meter is closed or dropped.
    ///
    /// # Errors
    /// When the operating system gives no random bytes for a token.
    pub(crate) fn open(
        &self,
        sandbox_id: &str,
        turn_id: &str,
        choice: &Choice,
        limits: &TurnLimits,
    ) -> Result<Opened, TurnError> {
        let Some(model) = choice.model.clone() else {
            return Ok(Opened { access: None, meter: None });
        };
        let mut token = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut token)
            .map_err(|_| turn_error("INTERNAL", "The operating system gives no random bytes."))?;
        let token = hex::encode(token);
        let hash = sha256(token.as_bytes());
        let access = ModelAccess {
            token,
            provider: model.provider.id.clone(),
            model: model.id.clone(),
            format: model.format,
            context_tokens: model.context_tokens,
        };
        let turn = OpenTurn::new(sandbox_id, turn_id, model, limits.clone(), self.0.max_requests);
        let turn = Arc::new(turn);
        self.turns().insert(hash, turn.clone());
        let meter = TurnMeter::new(turn, self.clone(), hash);
        Ok(Opened { access: Some(access), meter: Some(meter) })
    }

    /// The turn that a token opens.
    fn turn(&self, token: &[u8]) -> Option<Arc<OpenTurn>> {
        self.turns().get(&sha256(token)).cloned()
    }

    fn forget(&self, token_hash: &[u8; 32]) {
        self.turns().remove(token_hash);
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<OpenTurn>>> {
        self.0.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChosenModel {
    fn new(provider: Provider, id: &str, context_tokens: Option<u64>) -> Self {
        // Which of its formats it will be is the agent's choice.
        let format = provider.formats.first().copied().unwrap_or(WireFormat::ChatCompletions);
        Self { provider, id: id.to_owned(), format, context_tokens }
    }

    /// `provider/model`
    fn name(&self) -> String {
        format!("{}/{}", self.provider.id, self.id)
    }

    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: self.provider.id.clone(),
            id: self.id.clone(),
            formats: self.provider.formats.clone(),
            context_tokens: self.context_tokens,
            local: self.provider.local,
            extra: Extra::new(),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
