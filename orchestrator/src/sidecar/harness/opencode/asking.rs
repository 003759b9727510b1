//! What OpenCode asks: permissions, and the questions of its tool.

use serde_json::{Value, json};

use super::super::{
    asks::{Ask, Decision, What, question},
    follow::Step,
};
use crate::{
    interactions::{Power, Question, Wanted},
    tools::fenced,
};

/// What an event of its server asks for, or takes back.
pub(super) fn step(event: &Value) -> Option<Step> {
    let properties = &event["properties"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let what = match event["type"].as_str()? {
        "permission.asked" => What::Permission(wanted(properties)),
        "question.asked" => What::Questions(questions(properties)),
        "permission.replied" | "question.replied" | "question.rejected" => {
            return Some(Step::Withdraws(text(&properties["requestID"])));
        }
        _ => return None,
    };
    let key = text(&properties["id"]);
    Some(Step::Asks(Box::new(Ask { key, what, native: event.clone() })))
}

/// Where its answer goes, and the answer.
pub(super) fn reply(event: &Value, decision: Decision) -> (String, Value) {
    let id = event["properties"]["id"].as_str().unwrap_or_default();
    let permission = |reply: Value| (format!("/permission/{id}/reply"), reply);
    match (event["type"] == "question.asked", decision) {
        (true, Decision::Answered(answers)) => {
            (format!("/question/{id}/reply"), json!({ "answers": answers }))
        }
        (true, _) => (format!("/question/{id}/reject"), json!({})),
        (false, Decision::Denied(words)) => {
            // Without words it would end its turn.
            permission(json!({ "reply": "reject", "message": words }))
        }
        (false, _) => permission(json!({ "reply": "once" })),
    }
}

fn wanted(asked: &Value) -> Wanted {
    let metadata = &asked["metadata"];
    let text = |name: &str| metadata[name].as_str().map(str::to_owned);
    let patterns = asked["patterns"].as_array().into_iter().flatten();
    let patterns: Vec<_> = patterns.filter_map(Value::as_str).collect();
    let patterns = patterns.join("\n");
    let (power, subject, body) = match asked["permission"].as_str().unwrap_or_default() {
        "bash" => (Power::Command, text("command"), text("description")),
        "edit" => (Power::Edit, text("filepath"), text("diff").map(|diff| fenced("diff", &diff))),
        "webfetch" => (Power::Network, text("url"), None),
        "websearch" => (Power::Network, text("query"), None),
        tool => (Power::Tool(tool.to_owned()), None, None),
    };
    Wanted { power, subject: subject.unwrap_or(patterns), body }
}

fn questions(asked: &Value) -> Vec<Question> {
    let whole = |asked: &Value| Question {
        multi: asked["multiple"] == true,
        custom: asked["custom"] != false,
        ..question(asked)
    };
    asked["questions"].as_array().into_iter().flatten().map(whole).collect()
}
