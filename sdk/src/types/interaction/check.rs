//! Whether an answer is one: the same rules for the page, the product and the orchestrator.

use std::fmt;

use serde_json::Value;

use super::{AnswerField, AnswerKind, InteractionAnswer, InteractionRequest, Outcome};

/// Longest text in an answer, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Names that mean something else to a program that reads the answer as an object of its own.
const RESERVED: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// What is wrong with an answer, for people. It never holds what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAnswer {
    /// The field that is wrong; absent when it is the answer as a whole.
    pub field: Option<String>,
    problem: &'static str,
}

impl InvalidAnswer {
    fn of(field: &AnswerField, problem: &'static str) -> Self {
        Self { field: Some(field.key.clone()), problem }
    }

    fn whole(problem: &'static str) -> Self {
        Self { field: None, problem }
    }
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.problem),
            None => f.write_str(self.problem),
        }
    }
}

impl std::error::Error for InvalidAnswer {}

impl InteractionRequest {
    /// Whether there can be an answer at all: an outcome, and fields that can be told apart.
    pub fn is_answerable(&self) -> bool {
        let fields = &self.answer_spec.fields;
        let single =
            |field: &AnswerField| fields.iter().filter(|f| f.key == field.key).count() == 1;
        !self.allowed_outcomes.is_empty()
            && fields.iter().all(|field| is_key(&field.key) && single(field))
    }

    /// Whether the answer is one to this request. Nothing has to be filled in to refuse, but what is
    /// filled in has to be right.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, answer: &InteractionAnswer) -> Result<(), InvalidAnswer> {
        if answer.id != self.id {
            return Err(InvalidAnswer::whole("this answers another request"));
        }
        if !self.allowed_outcomes.contains(&answer.outcome) {
            return Err(InvalidAnswer::whole("this outcome is not offered"));
        }
        let known = |key: &String| self.answer_spec.fields.iter().any(|field| field.key == *key);
        if !answer.data.keys().all(|key| is_key(key) && known(key)) {
            return Err(InvalidAnswer::whole("it holds a field that was not asked for"));
        }
        for field in &self.answer_spec.fields {
            match answer.data.get(&field.key).filter(|value| !value.is_null()) {
                Some(value) => field.check(value)?,
                None if field.required && answer.outcome == Outcome::Accepted => {
                    return Err(InvalidAnswer::of(field, "it has to be filled in"));
                }
                None => {}
            }
        }
        Ok(())
    }
}

impl AnswerField {
    fn check(&self, value: &Value) -> Result<(), InvalidAnswer> {
        let wrong = |problem| Err(InvalidAnswer::of(self, problem));
        match (&self.kind, value) {
            (AnswerKind::Text | AnswerKind::Secret, Value::String(text)) => self.check_text(text),
            (AnswerKind::Number, Value::Number(_)) | (AnswerKind::Boolean, Value::Bool(_)) => {
                Ok(())
            }
            (AnswerKind::Select { multi: false, .. }, Value::String(choice)) => {
                self.check_choice(choice)
            }
            (AnswerKind::Select { multi: true, .. }, Value::Array(choices)) => {
                if choices.is_empty() && self.required {
                    return wrong("it has to be filled in");
                }
                choices.iter().try_for_each(|choice| match choice.as_str() {
                    Some(choice) => self.check_choice(choice),
                    None => wrong("an option is a text"),
                })
            }
            (AnswerKind::Text | AnswerKind::Secret, _) => wrong("it has to be a text"),
            (AnswerKind::Number, _) => wrong("it has to be a number"),
            (AnswerKind::Boolean, _) => wrong("it has to be yes or no"),
            (AnswerKind::Select { multi: false, .. }, _) => wrong("it has to be one option"),
            (AnswerKind::Select { multi: true, .. }, _) => wrong("it has to be a list of options"),
            // Only the agent knows what may stand here.
            (AnswerKind::Other(_), _) => Ok(()),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), InvalidAnswer> {
        if text.len() > MAX_TEXT {
            return Err(InvalidAnswer::of(self, "it is too long"));
        }
        if self.required && text.trim().is_empty() {
            return Err(InvalidAnswer::of(self, "it has to be filled in"));
        }
        Ok(())
    }

    fn check_choice(&self, choice: &str) -> Result<(), InvalidAnswer> {
        let AnswerKind::Select { options, allow_custom, .. } = &self.kind else { return Ok(()) };
        if options.iter().any(|option| option.value == choice) {
            return Ok(());
        }
        if !allow_custom {
            return Err(InvalidAnswer::of(self, "there is no such option"));
        }
        if choice.trim().is_empty() {
            return Err(InvalidAnswer::of(self, "it has to be filled in"));
        }
        self.check_text(choice)
    }
}

/// Whether a field may be called this.
fn is_key(key: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !key.is_empty() && key.bytes().all(named) && !RESERVED.contains(&key)
}
