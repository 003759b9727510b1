//! The fields of an answer: from what the agent asks for to what a form shows, and back.

use sandbox_sdk::types::{AnswerField, AnswerKind, Extra, InteractionRequest};
use serde_json::Value;

/// What a form says for own words, where others say the number of an option.
pub const OWN: &str = "own";

/// Something to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub label: String,
    pub about: Option<String>,
    pub value: Value,
}

/// What there is to choose in a field; nothing where it is written.
pub fn rows(kind: &AnswerKind) -> Vec<Row> {
    let row = |label: &str, value: Value| Row { label: label.into(), about: None, value };
    match kind {
        AnswerKind::Boolean => vec![row("Yes", true.into()), row("No", false.into())],
        AnswerKind::Select { options, .. } => options
            .iter()
            .map(|option| Row {
                about: option.description.clone(),
                ..row(&option.label, option.value.as_str().into())
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn is_multi(kind: &AnswerKind) -> bool {
    matches!(kind, AnswerKind::Select { multi: true, .. })
}

/// What a form holds for a field, as its part of an answer: `chosen` are numbers of rows or [`OWN`],
/// `written` is what stands in its text. None: nothing was filled in.
pub fn value(kind: &AnswerKind, chosen: &[String], written: &str) -> Option<Value> {
    let written = written.trim();
    let own = || (!written.is_empty()).then(|| Value::from(written));
    match kind {
        AnswerKind::Boolean | AnswerKind::Select { .. } => {
            let rows = rows(kind);
            let mut values = chosen.iter().filter_map(|row| match row.parse::<usize>() {
                Ok(at) => rows.get(at).map(|row| row.value.clone()),
                Err(_) => own(),
            });
            if is_multi(kind) {
                let values: Vec<Value> = values.collect();
                (!values.is_empty()).then(|| values.into())
            } else {
                values.next()
            }
        }
        AnswerKind::Number => match written.parse::<i64>() {
            Ok(whole) => Some(whole.into()),
            Err(_) => written.parse::<f64>().ok().filter(|it| it.is_finite()).map(Value::from),
        },
        _ => own(),
    }
}

/// Whether an answer holds this value of a field.
pub fn is_given(field: &AnswerField, answer: &Extra, value: &Value) -> bool {
    match answer.get(&field.key) {
        Some(Value::Array(values)) => values.contains(value),
        given => given == Some(value),
    }
}

/// What an answer holds for a field in own words.
pub fn own_words(field: &AnswerField, answer: &Extra) -> Option<String> {
    let rows = rows(&field.kind);
    let own = |value: &&Value| rows.iter().all(|row| row.value != **value);
    let given = answer.get(&field.key)?;
    let found = match given {
        Value::Array(values) => values.iter().find(own),
        value => Some(value).filter(own),
    };
    found.and_then(Value::as_str).map(str::to_owned)
}

/// What an answer holds for a field that is written.
pub fn text(field: &AnswerField, answer: &Extra) -> String {
    match answer.get(&field.key) {
        Some(Value::String(text)) => text.clone(),
        Some(number @ Value::Number(_)) => number.to_string(),
        _ => String::new(),
    }
}

/// An answer in words, as people read it.
pub(super) fn said(request: &InteractionRequest, answer: Option<&Extra>) -> String {
    let Some(answer) = answer else { return String::new() };
    let mut words: Vec<String> = Vec::new();
    for field in &request.answer_spec.fields {
        let rows = rows(&field.kind);
        words.extend(
            rows.into_iter().filter(|row| is_given(field, answer, &row.value)).map(|row| row.label),
        );
        words.extend(own_words(field, answer));
        if field.kind == AnswerKind::Number {
            words.push(text(field, answer));
        }
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}
