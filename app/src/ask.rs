//! What an agent asks in the middle of a turn: its buttons, its fields, and in words what came of it.

mod fields;

use sandbox_sdk::types::{
    AnswerField, AnswerKind, Extra, InteractionAnswer, InteractionKind, InteractionPart,
    InteractionRequest, InteractionStatus, Outcome, grant,
};

use crate::tool;

pub use fields::{OWN, Row, is_given, own_words, rows, text, value};

/// What is asked, in a line.
pub fn title(request: &InteractionRequest) -> String {
    match request.title.trim() {
        "" => "The agent asks something".into(),
        title => tool::visible(title),
    }
}

/// All of it, in markdown. Nothing is hidden in what is to be permitted, and nothing turned around.
pub fn body(request: &InteractionRequest) -> Option<String> {
    let body = request.body.as_deref()?;
    let permits = request.kind == InteractionKind::Permission;
    Some(if permits { tool::visible(body) } else { body.to_owned() })
}

/// A button under what is asked, and what pressing it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub words: String,
    pub outcome: Outcome,
    /// What it permits, by the agent's own word.
    pub grant: Option<String>,
    /// What that means, in more words.
    pub about: Option<String>,
    /// The way on.
    pub first: bool,
}

impl Act {
    fn new(words: &str, outcome: Outcome) -> Self {
        let first = outcome == Outcome::Accepted;
        Self { words: words.to_owned(), outcome, grant: None, about: None, first }
    }
}

/// The buttons, in their order.
pub fn acts(request: &InteractionRequest) -> Vec<Act> {
    let words = match &request.kind {
        InteractionKind::Permission => match grants(request) {
            Some(grants) => return grants,
            None => ["Allow", "Deny"],
        },
        InteractionKind::Plan => ["Approve", "Reject"],
        _ => ["Answer", "Skip"],
    };
    let no = [Outcome::Declined, Outcome::Cancelled].into_iter().find(|no| allows(request, *no));
    let yes = allows(request, Outcome::Accepted).then_some(Outcome::Accepted);
    [yes, no].into_iter().zip(words).filter_map(|(it, words)| Some(Act::new(words, it?))).collect()
}

/// A button for each thing that the agent lets one permit.
fn grants(request: &InteractionRequest) -> Option<Vec<Act>> {
    let field = request.answer_spec.fields.iter().find(|field| is_grant(request, field))?;
    let AnswerKind::Select { options, .. } = &field.kind else { return None };
    let mut first = true;
    let act = |option: &sandbox_sdk::types::AnswerOption| {
        let no = option.value == grant::DENY && allows(request, Outcome::Declined);
        let outcome = if no { Outcome::Declined } else { Outcome::Accepted };
        let words = match option.value.as_str() {
            grant::ALLOW_ONCE => "Allow once",
            grant::ALLOW_SESSION => "Allow for this chat",
            grant::DENY => "Deny",
            _ => &option.label,
        };
        let mut act = Act::new(words, outcome);
        (act.grant, act.about) = (Some(option.value.clone()), option.description.clone());
        act.first = first && option.value != grant::DENY;
        first &= !act.first;
        act
    };
    Some(options.iter().map(act).collect())
}

fn allows(request: &InteractionRequest, outcome: Outcome) -> bool {
    request.allowed_outcomes.contains(&outcome)
}

/// Whether the field is what the buttons of a permission say.
fn is_grant(request: &InteractionRequest, field: &AnswerField) -> bool {
    request.kind == InteractionKind::Permission
        && field.key == grant::FIELD
        && matches!(field.kind, AnswerKind::Select { .. })
}

/// What is to be filled in.
pub fn fields(request: &InteractionRequest) -> Vec<AnswerField> {
    let shown = |field: &&AnswerField| !is_grant(request, field);
    request.answer_spec.fields.iter().filter(shown).cloned().collect()
}

/// Whether the Enter key is as good as the button. Nobody permits or approves by a slip.
pub fn enter_answers(request: &InteractionRequest) -> bool {
    !matches!(request.kind, InteractionKind::Permission | InteractionKind::Plan)
}

/// The answer that a button gives with what is filled in.
///
/// # Errors
/// In words, when something has to be filled in before.
pub fn answer(
    request: &InteractionRequest,
    act: &Act,
    mut data: Extra,
) -> Result<InteractionAnswer, String> {
    if act.outcome == Outcome::Accepted {
        let missing = |field: &&AnswerField| field.required && !data.contains_key(&field.key);
        if let Some(field) = fields(request).iter().find(missing) {
            return Err(match &field.label {
                Some(label) => format!("This is still to be answered: {label}"),
                None => "Choose or write an answer first.".into(),
            });
        }
    }
    if act.outcome != Outcome::Accepted && enter_answers(request) {
        // What was begun and not said is not said.
        data.clear();
    }
    if let Some(grant) = &act.grant {
        data.insert(grant::FIELD.into(), grant.clone().into());
    }
    Ok(InteractionAnswer { id: request.id.clone(), outcome: act.outcome, data })
}

/// What came of it, in a few words. None: the agent waits. `live`: its turn goes on.
pub fn came_of(part: &InteractionPart, live: bool) -> Option<String> {
    let said = |words: &str| Some(words.to_owned());
    let kind = &part.request.kind;
    match part.status {
        InteractionStatus::Pending if live => None,
        InteractionStatus::Pending | InteractionStatus::Cancelled => said("not answered"),
        InteractionStatus::Expired => said("nobody answered in time"),
        InteractionStatus::Declined => said(match kind {
            InteractionKind::Permission => "denied",
            InteractionKind::Plan => "rejected",
            _ => "skipped",
        }),
        InteractionStatus::Accepted => match kind {
            InteractionKind::Permission => said(permitted(part)),
            InteractionKind::Plan => said("approved"),
            _ => {
                let words = fields::said(&part.request, part.answer.as_ref());
                if words.is_empty() { said("answered") } else { Some(words) }
            }
        },
    }
}

fn permitted(part: &InteractionPart) -> &'static str {
    let grant = part.answer.as_ref().and_then(|answer| answer.get(grant::FIELD)?.as_str());
    match grant {
        Some(grant::ALLOW_SESSION) => "allowed for this chat",
        Some(grant::DENY) => "denied",
        Some(grant::ALLOW_ONCE) => "allowed once",
        _ => "allowed",
    }
}

#[cfg(test)]
mod tests;
