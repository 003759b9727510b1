//! Questions, with options or without.

use std::future::pending;

use sandbox_sdk::types::{
    AnswerField, AnswerKind, AnswerOption, AnswerSpec, Extra, InteractionAnswer, InteractionKind,
    InteractionRequest, Outcome, grant,
};
use serde_json::Value;

use super::{Asker, NOBODY, Unanswered};

/// Characters of a title.
const LINE: usize = 300;

/// Something that an agent wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// Label and description of each; none: any words will do.
    pub(crate) options: Vec<(String, Option<String>)>,
    pub(crate) multi: bool,
    /// Own words are as good as an option.
    pub(crate) custom: bool,
    pub(crate) secret: bool,
}

impl Question {
    fn field(&self, number: usize, label: Option<String>) -> AnswerField {
        let kind = match self.options.as_slice() {
            // Options may come with own words, and those would be kept.
            _ if self.secret => AnswerKind::Secret,
            [] => AnswerKind::Text,
            options => AnswerKind::Select {
                options: options.iter().map(option).collect(),
                multi: self.multi,
                allow_custom: self.custom,
            },
        };
        AnswerField { key: key(number), label, kind, required: true, extra: Extra::new() }
    }
}

fn option((label, description): &(String, Option<String>)) -> AnswerOption {
    AnswerOption {
        value: label.clone(),
        label: label.clone(),
        description: description.clone().filter(|text| !text.is_empty()),
        extra: Extra::new(),
    }
}

fn key(number: usize) -> String {
    format!("q{}", number + 1)
}

impl Asker {
    /// Asks all of them at once. The answers stand in the order of the questions, each as a list: of
    /// one text, or of what was chosen.
    ///
    /// # Errors
    /// Nobody answered, or wanted to: what the agent is told.
    pub(crate) async fn question(
        &self,
        questions: &[Question],
    ) -> Result<Vec<Vec<String>>, String> {
        if questions.is_empty() {
            return Err("There is no question.".to_owned());
        }
        let answer = match self.ask(request(questions), pending()).await {
            Ok(answer) if answer.outcome == Outcome::Accepted => answer,
            Ok(answer) => return Err(unwilling(&answer)),
            Err(Unanswered::TooLong) => {
                return Err("The question is too long to be asked.".to_owned());
            }
            Err(_) => return Err(NOBODY.to_owned()),
        };
        let given = |number: usize| match answer.data.get(&key(number)) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(texts)) => {
                texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        Ok((0..questions.len()).map(given).collect())
    }
}

/// What the agent is told of a no, with the words that came with it.
fn unwilling(answer: &InteractionAnswer) -> String {
    let said = answer.data.get(grant::FEEDBACK).and_then(Value::as_str).unwrap_or_default();
    match said.trim() {
        "" => "The user did not want to answer.".to_owned(),
        said => format!("The user did not answer. {said}"),
    }
}

fn request(questions: &[Question]) -> InteractionRequest {
    let (title, body, fields) = match questions {
        [question] => {
            let line = question.text.trim().lines().next().unwrap_or_default();
            let title: String = line.chars().take(LINE).collect();
            let more = title != question.text.trim();
            (title, more.then(|| question.text.clone()), vec![question.field(0, None)])
        }
        several => {
            let fields = several.iter().enumerate();
            let fields =
                fields.map(|(at, question)| question.field(at, Some(question.text.clone())));
            (format!("{} questions", several.len()), None, fields.collect())
        }
    };
    InteractionRequest {
        kind: InteractionKind::Question,
        title,
        body,
        answer_spec: AnswerSpec { fields, extra: Extra::new() },
        allowed_outcomes: vec![Outcome::Accepted, Outcome::Declined],
        ..InteractionRequest::default()
    }
}
