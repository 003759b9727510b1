//! Permissions and plans: the person says yes or no.

use std::future::pending;

use sandbox_sdk::types::{
    AnswerField, AnswerKind, AnswerOption, AnswerSpec, Extra, InteractionAnswer, InteractionKind,
    InteractionRequest, Outcome, grant,
};
use serde_json::Value;

use super::{Asker, NOBODY, Unanswered};
use crate::tools::fenced;

/// What an agent is told of a no without words.
pub(crate) const DENIED: &str = "The user denied this.";
/// What an agent is told of something that does not fit into a request.
const TOO_LONG: &str =
    "Declined: it is too long to be shown to the user. Do it in several smaller steps.";

/// What an agent may or may not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Power {
    Command,
    Edit,
    Network,
    /// A tool of that name.
    Tool(String),
}

/// What an agent wants to do.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) power: Power,
    /// The command, the file, the address.
    pub(crate) subject: String,
    /// What the person should see before deciding, in markdown.
    pub(crate) body: Option<String>,
}

impl Power {
    fn title(&self) -> String {
        match self {
            Self::Command => "Run a command".to_owned(),
            Self::Edit => "Change a file".to_owned(),
            Self::Network => "Use the network".to_owned(),
            Self::Tool(name) => format!("Use the tool {name}"),
        }
    }

    /// What is allowed with it until the session ends.
    fn all_of_it(&self) -> &'static str {
        match self {
            Self::Command => "All commands in this chat.",
            Self::Edit => "All changes of files in this chat.",
            Self::Network => "All use of the network in this chat.",
            Self::Tool(_) => "Every use of this tool in this chat.",
        }
    }
}

impl Wanted {
    fn request(&self) -> InteractionRequest {
        let option = |value: &str, label: &str, description: Option<&str>| AnswerOption {
            value: value.to_owned(),
            label: label.to_owned(),
            description: description.map(str::to_owned),
            extra: Extra::new(),
        };
        let options = vec![
            option(grant::ALLOW_ONCE, "Allow once", None),
            option(grant::ALLOW_SESSION, "Allow for this chat", Some(self.power.all_of_it())),
            option(grant::DENY, "Deny", None),
        ];
        let decision = AnswerField {
            key: grant::FIELD.to_owned(),
            kind: AnswerKind::Select { options, multi: false, allow_custom: false },
            required: true,
            ..AnswerField::default()
        };
        InteractionRequest {
            kind: InteractionKind::Permission,
            title: self.power.title(),
            // Whole: nobody should allow what is hidden in the middle.
            body: self.body.clone(),
            subject: Some(self.subject.clone()),
            answer_spec: spec(vec![decision, feedback()]),
            allowed_outcomes: vec![Outcome::Accepted, Outcome::Declined],
            ..InteractionRequest::default()
        }
    }
}

impl Asker {
    /// Asks whether the agent may do this, unless that was allowed for the session.
    ///
    /// # Errors
    /// It may not: what the agent is told.
    pub(crate) async fn permit(&self, wanted: Wanted) -> Result<(), String> {
        let power = (self.0.session_id.clone(), wanted.power.clone());
        let known = &self.0.broker.0.granted;
        let mut grants = known.subscribe();
        if grants.borrow().contains(&power) {
            return Ok(());
        }
        let granted = async {
            if grants.wait_for(|granted| granted.contains(&power)).await.is_err() {
                // Nothing will be allowed any more.
                pending().await
            }
        };
        let answer = match self.ask(wanted.request(), granted).await {
            Err(Unanswered::Granted) => return Ok(()),
            reply => decided(reply)?,
        };
        if answer.data.get(grant::FIELD).and_then(Value::as_str) == Some(grant::ALLOW_SESSION) {
            known.send_modify(|granted| {
                granted.insert(power);
            });
        }
        Ok(())
    }

    /// Asks whether the agent may go on as planned.
    ///
    /// # Errors
    /// It may not: what the agent is told.
    pub(crate) async fn approve(&self, plan: &str) -> Result<(), String> {
        let request = InteractionRequest {
            kind: InteractionKind::Plan,
            title: "Approve the plan".to_owned(),
            body: Some(plan.to_owned()),
            answer_spec: spec(vec![feedback()]),
            allowed_outcomes: vec![Outcome::Accepted, Outcome::Declined],
            ..InteractionRequest::default()
        };
        decided(self.ask(request, pending()).await).map(drop)
    }
}

fn spec(fields: Vec<AnswerField>) -> AnswerSpec {
    AnswerSpec { fields, extra: Extra::new() }
}

fn feedback() -> AnswerField {
    AnswerField {
        key: grant::FEEDBACK.to_owned(),
        label: Some("What the agent should do instead".to_owned()),
        kind: AnswerKind::Text,
        ..AnswerField::default()
    }
}

/// The answer, when it is a yes.
fn decided(reply: Result<InteractionAnswer, Unanswered>) -> Result<InteractionAnswer, String> {
    let answer = reply.map_err(|why| match why {
        Unanswered::TooLong => TOO_LONG.to_owned(),
        Unanswered::Expired | Unanswered::Granted => NOBODY.to_owned(),
    })?;
    let said = |field: &str| answer.data.get(field).and_then(Value::as_str).unwrap_or_default();
    if answer.outcome == Outcome::Accepted && said(grant::FIELD) != grant::DENY {
        return Ok(answer);
    }
    Err(match said(grant::FEEDBACK).trim() {
        "" => DENIED.to_owned(),
        feedback => format!("The user denied this and said: {feedback}"),
    })
}

/// A replacement in a file, as a person reads it. `everywhere`: of all that reads like the old text.
pub(crate) fn replacement(old: &str, new: &str, everywhere: bool) -> String {
    let old = old.lines().map(|line| format!("-{line}\n"));
    let new = new.lines().map(|line| format!("+{line}\n"));
    let change = fenced("diff", &old.chain(new).collect::<String>());
    if everywhere { format!("Wherever it stands in the file:\n\n{change}") } else { change }
}
