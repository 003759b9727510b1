//! What a message can be sent to, and what is chosen of it.

use serde::{Deserialize, Serialize};

use super::Credits;

/// An agent and a model, by name, and what the agent may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub agent: String,
    pub model: String,
    pub permissions: Permissions,
}

/// What an agent may do without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    /// Whatever the sandbox allows.
    #[default]
    Everything,
    /// It asks before commands and edits.
    AskFirst,
    /// Neither commands nor edits.
    ReadOnly,
}

impl Permissions {
    pub const ALL: [Self; 3] = [Self::Everything, Self::AskFirst, Self::ReadOnly];

    /// The word that it travels as and is kept as.
    pub fn word(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::AskFirst => "ask_first",
            Self::ReadOnly => "read_only",
        }
    }

    /// None for a word that this version does not know: it is never taken for another one.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }
}

/// What a message can be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub agents: Vec<AgentOption>,
    pub models: Vec<ModelOption>,
    /// What is chosen where nobody has chosen.
    pub default: Choice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOption {
    pub id: String,
    /// For people.
    pub name: String,
    /// Why it can't be chosen now.
    pub problem: Option<String>,
    /// Names of the models it works with.
    pub models: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOption {
    /// `provider/model`, or a name of the price list for an agent that needs no model.
    pub name: String,
    /// It runs on the server's own machine.
    pub local: bool,
    pub context_tokens: Option<u64>,
    /// Credits for a million tokens read.
    pub input: Credits,
    /// Credits for a million tokens written.
    pub output: Credits,
}

impl Options {
    pub fn agent(&self, id: &str) -> Option<&AgentOption> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    pub fn model(&self, name: &str) -> Option<&ModelOption> {
        self.models.iter().find(|model| model.name == name)
    }

    pub fn offers(&self, choice: &Choice) -> bool {
        self.agent(&choice.agent).is_some_and(|agent| agent.models.contains(&choice.model))
    }

    /// Whether there is anything to choose.
    pub fn is_choice(&self) -> bool {
        self.agents.iter().map(|agent| agent.models.len()).sum::<usize>() > 1
    }

    /// Another agent, with the model of before where it can work with that.
    pub fn with_agent(&self, id: &str, before: &Choice) -> Option<Choice> {
        let agent = self.agent(id)?;
        let usual = [&before.model, &self.default.model].into_iter();
        let model = usual.chain(&agent.models).find(|model| agent.models.contains(model))?;
        let (agent, model) = (agent.id.clone(), model.clone());
        Some(Choice { agent, model, permissions: before.permissions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_agent_keeps_the_model_it_can_work_with() {
        let agent = |id: &str, models: &[&str]| AgentOption {
            id: id.into(),
            name: id.into(),
            problem: None,
            models: models.iter().map(|model| (*model).to_owned()).collect(),
        };
        let choice = |agent: &str, model: &str| Choice {
            agent: agent.into(),
            model: model.into(),
            permissions: Permissions::AskFirst,
        };
        let options = Options {
            agents: vec![agent("a", &["x", "y", "z"]), agent("b", &["z", "y"]), agent("c", &[])],
            models: Vec::new(),
            default: choice("a", "y"),
        };
        let with = |id, model| options.with_agent(id, &choice("a", model));
        assert_eq!(with("b", "z"), Some(choice("b", "z")));
        assert_eq!(with("b", "x"), Some(choice("b", "y")), "the usual one");
        assert_eq!(with("c", "x"), None);
        assert!(options.is_choice() && options.offers(&choice("b", "y")));
        assert!(!options.offers(&choice("b", "x")));
        let demo = Options { agents: vec![agent("a", &["x"]), agent("c", &[])], ..options };
        assert!(!demo.is_choice(), "what can't be used is no choice");
    }

    #[test]
    fn what_an_agent_may_do_has_one_word_everywhere() {
        for permissions in Permissions::ALL {
            assert_eq!(Permissions::of_word(permissions.word()), Some(permissions));
            assert_eq!(serde_json::to_value(permissions).unwrap(), permissions.word());
        }
        for unknown in ["", "root", "Everything", "default"] {
            assert_eq!(Permissions::of_word(unknown), None, "{unknown}");
        }
    }
}
