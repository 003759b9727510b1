//! From what a request says to an agent and a model that can be used.

use super::{Choice, NO_MODEL, Options};
use crate::Error;

impl Options {
    /// The choice of a request that says all, a part or nothing of it.
    pub(super) fn choose(
        &self,
        agent: Option<&str>,
        model: Option<&str>,
        last: Option<Choice>,
    ) -> Result<Choice, Error> {
        let usual: Vec<Choice> = last.into_iter().chain([self.default.clone()]).collect();
        let fits = |choice: &&Choice| {
            agent.is_none_or(|agent| agent == choice.agent)
                && model.is_none_or(|model| model == choice.model)
                && self.offers(choice)
        };
        if let Some(choice) = usual.iter().find(fits) {
            return Ok(choice.clone());
        }
        let agent = match (agent, model) {
            (Some(agent), _) => agent,
            (None, Some(model)) => {
                let can =
                    |id: &&str| self.agent(id).is_some_and(|a| a.models.iter().any(|m| m == model));
                let usual = usual.iter().map(|choice| choice.agent.as_str());
                let all = self.agents.iter().map(|agent| agent.id.as_str());
                usual.chain(all).find(can).ok_or_else(|| Error::invalid("model", NO_MODEL))?
            }
            (None, None) => &self.default.agent,
        };
        self.choose_for(agent, model, &usual)
    }

    fn choose_for(
        &self,
        agent: &str,
        model: Option<&str>,
        usual: &[Choice],
    ) -> Result<Choice, Error> {
        let agent =
            self.agent(agent).ok_or_else(|| Error::invalid("agent", "There is no such agent."))?;
        if let Some(problem) = &agent.problem {
            return Err(Error::invalid(
                "agent",
                format!("{} can't be used. {problem}", agent.name),
            ));
        }
        let has = |name: &&str| agent.models.iter().any(|model| model == name);
        let model = match model {
            Some(model) if has(&model) => model,
            Some(model) if self.model(model).is_some() => {
                let message = format!("{} can't work with {model}.", agent.name);
                return Err(Error::invalid("model", message));
            }
            Some(_) => return Err(Error::invalid("model", NO_MODEL)),
            None => {
                let usual = usual.iter().map(|choice| choice.model.as_str()).find(has);
                usual.or(agent.models.first().map(String::as_str)).unwrap_or_default()
            }
        };
        Ok(Choice::new(agent.id.as_str(), model))
    }
}
