//! What turns can be run with: the agents and models that the orchestrator has, each with its price.

mod catalog;
mod choose;
mod permissions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sandbox_sdk::types::{AgentCatalog, AgentInfo};

pub(crate) use catalog::Known;
pub use permissions::Permissions;

use crate::{
    Account, AccountId, Backend, ChatId, Credits, Error, Prices, StartTurn, db::args, prices::Model,
};

/// An agent and a model, by name, and what the agent may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Choice {
    /// `demo`, `opencode`, `claude-code`, …
    pub agent: String,
    /// `provider/model`, or the name of an entry of the price file that names its agent.
    pub model: String,
    /// What it may do without asking.
    #[sqlx(try_from = "String")]
    pub permissions: Permissions,
}

impl Choice {
    /// A choice of an agent that may do everything.
    pub fn new(agent: impl Into<String>, model: impl Into<String>) -> Self {
        Self { agent: agent.into(), model: model.into(), permissions: Permissions::default() }
    }
}

/// All that can be chosen, and what can't at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// In the orchestrator's order.
    pub agents: Vec<AgentOption>,
    /// Those that at least one agent can use.
    pub models: Vec<ModelOption>,
    /// What a turn that names nothing is run with.
    pub default: Choice,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentOption {
    /// The name it is chosen by.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Why it can't be used now, in words, with the way out.
    pub problem: Option<String>,
    /// Names of the models it can use; empty where there is a problem.
    pub models: Vec<String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOption {
    /// The name it is chosen by.
    pub name: String,
    /// It runs on the orchestrator's own machine.
    pub local: bool,
    /// How many tokens it can read at once, where that is known.
    pub context_tokens: Option<u64>,
    /// Price of a million tokens read.
    pub input: Credits,
    /// Price of a million tokens written.
    pub output: Credits,
}

/// A choice that can be used now.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) agent: String,
    pub(crate) model: Model,
    pub(crate) permissions: Permissions,
    pub(crate) context_tokens: Option<u64>,
}

impl Backend {
    /// Agents and models that are really available, with prices. The default is what the account
    /// used last. While the orchestrator is out of reach, what it said last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn options(&self, account: Option<&Account>) -> Result<Options, Error> {
        let mut options = Options::clone(&*self.current_options().await);
        if let Some(account) = account
            && let Some(last) = self.last_choice(account.id()).await?
        {
            // Whatever became of agent and model: who wanted to be asked is asked.
            options.default.permissions = last.permissions;
            if options.offers(&last) {
                options.default = last;
            }
        }
        Ok(options)
    }

    /// What a request asks for, checked against what is available and what has a price. What it does
    /// not say is as in the last turn of its chat; what the agent may do, in a new chat, as in the
    /// account's last turn. Whatever else is not known, who wants to be asked is asked.
    pub(crate) async fn offer(
        &self,
        account: &AccountId,
        request: &StartTurn,
    ) -> Result<Offer, Error> {
        let says_all =
            request.agent.is_some() && request.model.is_some() && request.permissions.is_some();
        let last = match &request.chat_id {
            Some(chat) if !says_all => self.choice_of_chat(account, chat).await?,
            _ => None,
        };
        let said = request.permissions.or(last.as_ref().map(|last| last.permissions));
        let permissions = match said {
            Some(permissions) => Some(permissions),
            None => self.last_choice(account).await?.map(|last| last.permissions),
        };
        self.offer_after(last, permissions, request).await
    }

    /// The same where it is known what the chat's last choice was and what the agent may do. None:
    /// nobody has ever said it.
    pub(crate) async fn offer_after(
        &self,
        last: Option<Choice>,
        permissions: Option<Permissions>,
        request: &StartTurn,
    ) -> Result<Offer, Error> {
        let (options, heard) = self.known_options().await;
        let permissions = permissions.unwrap_or_default();
        let choice = options.choose(request.agent.as_deref(), request.model.as_deref(), last);
        let choice =
            choice.map_err(|refusal| if heard { refusal } else { Error::unavailable(UNHEARD) })?;
        let model = self.config().prices.model(&choice.model);
        let model = model.ok_or_else(|| Error::invalid("model", NO_MODEL))?;
        let context_tokens = options.model(&choice.model).and_then(|known| known.context_tokens);
        Ok(Offer { agent: choice.agent, model, permissions, context_tokens })
    }

    /// What the last turn of the account's chat was run with.
    pub(crate) async fn choice_of_chat(
        &self,
        account: &AccountId,
        chat: &ChatId,
    ) -> Result<Option<Choice>, Error> {
        self.db()
            .optional(
                "SELECT t.agent, t.model, t.permissions FROM messages m JOIN turns t ON t.id = m.turn_id
                 WHERE m.chat_id = $1 AND t.account_id = $2 ORDER BY m.position DESC LIMIT 1",
                args![chat, account],
            )
            .await
    }

    async fn last_choice(&self, account: &AccountId) -> Result<Option<Choice>, Error> {
        self.db()
            .optional(
                "SELECT agent, model, permissions FROM turns WHERE account_id = $1
                 ORDER BY created_at DESC, id DESC LIMIT 1",
                args![account],
            )
            .await
    }
}

/// For a choice that may exist: the orchestrator has not said yet what there is.
const UNHEARD: &str = "The agents and models are not known yet. Try again in a moment.";
/// For a model that nobody offers.
const NO_MODEL: &str = "There is no such model, or it has no price.";

impl Options {
    /// Puts together what the orchestrator has and what it costs. Without a catalog there is what the
    /// price file lists with its agent.
    fn new(prices: &Prices, catalog: Option<&AgentCatalog>) -> Self {
        let mut options =
            Self { agents: Vec::new(), models: Vec::new(), default: Choice::default() };
        match catalog {
            Some(catalog) => {
                for agent in &catalog.agents {
                    options.add(prices, catalog, agent);
                }
            }
            None => options.add_fixed(prices),
        }
        options.default = options.usual(prices, catalog);
        options
    }

    fn add(&mut self, prices: &Prices, catalog: &AgentCatalog, agent: &AgentInfo) {
        let fixed = prices.fixed().filter(|model| model.agent.as_ref() == Some(&agent.id));
        let mut models: Vec<ModelOption> = fixed.map(ModelOption::new).collect();
        let mut unpriced = false;
        for info in catalog.models.iter().filter(|info| agent.format_for(info).is_some()) {
            match prices.model(&format!("{}/{}", info.provider, info.id)) {
                Some(model) if model.agent.is_none() => models.push(ModelOption {
                    local: info.local,
                    context_tokens: info.context_tokens,
                    ..ModelOption::new(&model)
                }),
                Some(_) => {}
                None => unpriced = true,
            }
        }
        let problem = match (agent.available, models.is_empty()) {
            (true, false) => None,
            (true, true) if unpriced => Some("The models that it can use have no price."),
            (true, true) => Some("No model is connected that it can use."),
            (false, _) => Some(agent.problem.as_deref().unwrap_or("It is not available.")),
        };
        let problem = problem.map(str::to_owned);
        if problem.is_some() {
            models.clear();
        }
        self.agents.push(AgentOption {
            id: agent.id.clone(),
            name: if agent.name.is_empty() { agent.id.clone() } else { agent.name.clone() },
            problem,
            models: models.iter().map(|model| model.name.clone()).collect(),
        });
        for model in models {
            if self.model(&model.name).is_none() {
                self.models.push(model);
            }
        }
    }

    fn add_fixed(&mut self, prices: &Prices) {
        for model in prices.fixed() {
            let Some(id) = &model.agent else { continue };
            self.models.push(ModelOption::new(model));
            let models = vec![model.name.clone()];
            match self.agents.iter_mut().find(|agent| agent.id == *id) {
                Some(agent) => agent.models.extend(models),
                None => self.agents.push(AgentOption {
                    id: id.clone(),
                    name: id.clone(),
                    problem: None,
                    models,
                }),
            }
        }
    }

    /// The orchestrator's default if it can be used, else the price file's, else the first there is.
    fn usual(&self, prices: &Prices, catalog: Option<&AgentCatalog>) -> Choice {
        let listed = prices
            .default_model()
            .and_then(|model| Some(Choice::new(model.agent.clone()?, model.name.as_str())));
        let named = catalog.and_then(|catalog| {
            let agent = self.agent(&catalog.default_agent)?;
            let fixed = listed.as_ref().filter(|listed| listed.agent == agent.id);
            let defaults = [catalog.default_model.as_ref(), fixed.map(|listed| &listed.model)];
            let default = defaults.into_iter().flatten().find(|name| agent.models.contains(name));
            let model = default.or(agent.models.first())?;
            Some(Choice::new(agent.id.as_str(), model.as_str()))
        });
        let first = self
            .agents
            .iter()
            .find_map(|agent| Some(Choice::new(agent.id.as_str(), agent.models.first()?.as_str())));
        let usable = [named, listed.clone(), first].into_iter().flatten().find(|c| self.offers(c));
        usable.or(listed).unwrap_or_default()
    }

    fn agent(&self, id: &str) -> Option<&AgentOption> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    fn model(&self, name: &str) -> Option<&ModelOption> {
        self.models.iter().find(|model| model.name == name)
    }

    fn offers(&self, choice: &Choice) -> bool {
        self.agent(&choice.agent).is_some_and(|agent| agent.models.contains(&choice.model))
    }
}

impl ModelOption {
    fn new(model: &Model) -> Self {
        Self {
            name: model.name.clone(),
            local: false,
            context_tokens: None,
            input: Credits::from_micros(model.price.input),
            output: Credits::from_micros(model.price.output),
        }
    }
}

/// What is offered before the orchestrator was asked.
pub(crate) fn before_asking(prices: &Prices) -> Arc<Options> {
    Arc::new(Options::new(prices, None))
}
