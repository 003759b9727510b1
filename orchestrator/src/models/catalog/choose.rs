//! What a turn is run with.

use std::sync::Arc;

use sandbox_sdk::types::{AgentInfo, BackendChoice, ModelChoice, TurnError};

use super::{
    super::{
        ChosenModel,
        listing::{Found, counted},
        provider::{ANTHROPIC, OPENAI, Provider},
        turn::turn_error,
    },
    Catalog, DEMO, NOT_CONNECTED, Source,
};

/// Agents that a turn is run with when a model is there and nobody chose, the preferred one first.
const WITH_MODEL: [&str; 2] = ["opencode", "skein"];
/// Longest name of a model.
const MAX_NAME: usize = 256;

/// What a turn is run with.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) agent: String,
    pub(in super::super) model: Option<ChosenModel>,
}

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At what is known, without waiting for anybody.
    Known,
    /// Whoever matters is asked again.
    Newest,
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
    /// What a turn is run with that was asked for like this. Before a turn is refused, or left to the
    /// demo agent because no model is known, who could change that is asked again.
    ///
    /// # Errors
    /// Code and words, when there is no such agent or model, or when they can't work together.
    pub(in super::super) async fn choose(
        &self,
        asked: &BackendChoice,
    ) -> Result<Choice, TurnError> {
        match self.choose_from(Look::Known, asked).await {
            Ok(choice) if choice.is_metered() || names_agent(asked) => Ok(choice),
            _ => self.choose_from(Look::Newest, asked).await,
        }
    }

    async fn choose_from(&self, look: Look, asked: &BackendChoice) -> Result<Choice, TurnError> {
        let agents = match look {
            Look::Known => self.agents.now().unwrap_or_default(),
            Look::Newest => self.agents.newest().await,
        };
        let named = asked.model.as_ref().filter(|model| !is_empty(model));
        let agent = match asked.kind.as_deref() {
            Some(kind) => kind,
            // The demo agent's model goes by its name.
            None if named.and_then(|model| model.model.as_deref()) == Some(DEMO) => DEMO,
            None => {
                let has_model = named.is_some() || self.has_model(look).await;
                self.agent_without_choice(&agents, has_model)
            }
        };
        let agent = available(&agents, agent)?;
        if agent.formats.is_empty() {
            return match named {
                Some(model) if model.model.as_deref() != Some(DEMO) => Err(turn_error(
                    "MODEL_NOT_FOUND",
                    format!("The agent {} works without a model: name none.", agent.id),
                )),
                _ => Ok(Choice { agent: agent.id.clone(), model: None }),
            };
        }
        let mut model = match named {
            Some(named) => self.named(look, named).await?,
            None => self.default_model(look).await?,
        };
        let format = agent.format_for(&model.info()).ok_or_else(|| {
            let words = format!("The agent {} can't speak to {}.", agent.id, model.provider.id);
            turn_error("MODEL_NOT_FOUND", words)
        })?;
        model.format = format;
        Ok(Choice { agent: agent.id.clone(), model: Some(model) })
    }

    pub(super) fn agent_without_choice<'a>(
        &'a self,
        agents: &[AgentInfo],
        has_model: bool,
    ) -> &'a str {
        if let Some(agent) = &self.default_agent {
            return agent;
        }
        let available = |id: &&str| agents.iter().any(|agent| agent.id == *id && agent.available);
        match WITH_MODEL.into_iter().find(available) {
            Some(agent) if has_model => agent,
            _ => DEMO,
        }
    }

    /// Whether a turn that names no model finds one.
    async fn has_model(&self, look: Look) -> bool {
        for source in &self.sources {
            if source.configured.is_some()
                || source.look(look).await.is_ok_and(|found| !found.models.is_empty())
            {
                return true;
            }
        }
        false
    }

    async fn named(&self, look: Look, named: &ModelChoice) -> Result<ChosenModel, TurnError> {
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
        let Some(provider) = &named.provider else {
            return match name {
                Some(name) => self.by_name(look, name).await,
                None => self.default_model(look).await,
            };
        };
        let source = self.source(provider).ok_or_else(|| unknown_provider(provider))?;
        match name {
            Some(id) => source.model(look, id).await,
            None => source.first(look).await?.ok_or_else(|| unknown_provider(provider)),
        }
    }

    /// The model of a turn that names none.
    pub(super) async fn default_model(&self, look: Look) -> Result<ChosenModel, TurnError> {
        if let Some(name) = &self.default_model {
            return self.by_name(look, name).await;
        }
        if look == Look::Newest {
            self.ask_all();
        }
        for source in &self.sources {
            if let Some(first) = source.first(look).await? {
                return Ok(first);
            }
        }
        Err(turn_error("MODEL_NOT_CONNECTED", self.without_models()))
    }

    /// Why there is no model that a turn could be run with, and what to do.
    fn without_models(&self) -> String {
        if self.configured.is_empty() {
            return NOT_CONNECTED.to_owned();
        }
        let found = self.sources.iter().filter_map(|source| source.found.last());
        let others: usize = found.map(|found| found.others.len()).sum();
        if others == 0 {
            return "The provider tells no models. Name one with SKEIN_MODEL.".to_owned();
        }
        format!(
            "The provider lists {}, and none that is known to hold a conversation. Name one that \
             does with SKEIN_MODEL.",
            counted(others)
        )
    }

    /// The model of a name that may begin with its provider's.
    async fn by_name(&self, look: Look, name: &str) -> Result<ChosenModel, TurnError> {
        let split = name.split_once('/').and_then(|(provider, id)| {
            let source = self.source(provider)?;
            Some((source, id))
        });
        if let Some((source, id)) = split
            && source.configured.is_some()
        {
            return source.model(look, id).await;
        }
        if look == Look::Newest {
            self.ask_all();
        }
        // Names of hosts with many vendors have a slash of their own.
        for source in &self.sources {
            let found = source.look(look).await?;
            if let (Some(provider), Some(model)) = (&found.provider, found.model(name)) {
                return Ok(ChosenModel::new(provider.clone(), name, model.context_tokens));
            }
        }
        if let Some((source, id)) = split {
            return source.model(look, id).await;
        }
        let family = if name.starts_with("claude") {
            self.source(ANTHROPIC)
        } else if ["gpt-", "o1", "o3", "o4", "codex"].iter().any(|start| name.starts_with(start)) {
            self.source(OPENAI)
        } else {
            None
        };
        let source = match family {
            Some(family) => family,
            None => self.only(look).await?.ok_or_else(|| unknown_model(name))?,
        };
        source.model(look, name).await
    }

    fn source(&self, id: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// With one provider there is no doubt who is meant.
    async fn only(&self, look: Look) -> Result<Option<&Source>, TurnError> {
        let mut only = None;
        for source in &self.sources {
            if source.look(look).await?.provider.is_some() && only.replace(source).is_some() {
                return Ok(None);
            }
        }
        Ok(only)
    }
}

impl Source {
    /// What it has; an error while nobody has heard of it.
    async fn look(&self, look: Look) -> Result<Arc<Found>, TurnError> {
        match look {
            Look::Known => self.found.now().ok_or_else(|| unknown_provider(&self.id)),
            Look::Newest => Ok(self.found.newest().await),
        }
    }

    /// The model of that name, listed or not.
    async fn model(&self, look: Look, id: &str) -> Result<ChosenModel, TurnError> {
        let context = |found: &Found| found.model(id).and_then(|model| model.context_tokens);
        if let Some(provider) = &self.configured {
            // It serves more than it lists, so the list is not asked for.
            let context = self.found.last().as_deref().and_then(context);
            return Ok(ChosenModel::new(provider.clone(), id, context));
        }
        let found = self.look(look).await?;
        let provider = found.provider.clone().ok_or_else(|| unknown_provider(&self.id))?;
        Ok(ChosenModel::new(provider, id, context(&found)))
    }

    /// Its first choice among its models.
    async fn first(&self, look: Look) -> Result<Option<ChosenModel>, TurnError> {
        let found = self.look(look).await?;
        let first = found.provider.clone().zip(found.models.first());
        Ok(first
            .map(|(provider, model)| ChosenModel::new(provider, &model.id, model.context_tokens)))
    }
}

fn available<'a>(agents: &'a [AgentInfo], id: &str) -> Result<&'a AgentInfo, TurnError> {
    let found = agents.iter().find(|agent| agent.id == id);
    let missing = |words: String| turn_error("AGENT_NOT_AVAILABLE", words);
    match found {
        Some(agent) if agent.available => Ok(agent),
        Some(agent) => {
            let problem = agent.problem.as_deref().unwrap_or("it is not installed");
            Err(missing(format!("The agent {} is not available here: {problem}.", agent.id)))
        }
        None => {
            let available = agents.iter().filter(|agent| agent.available);
            let names: Vec<_> = available.map(|agent| agent.id.as_str()).collect();
            let names = names.join(", ");
            Err(missing(format!("backend.type must be one that is available here: {names}.")))
        }
    }
}

fn names_agent(asked: &BackendChoice) -> bool {
    let model = asked.model.as_ref().and_then(|model| model.model.as_deref());
    asked.kind.is_some() || model == Some(DEMO)
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
