//! What counts as an answer to a request.
#![allow(clippy::unwrap_used)]

use sandbox_sdk::types::{InteractionAnswer, InteractionRequest};
use serde_json::{Value, json};

fn request(fields: Value) -> InteractionRequest {
    serde_json::from_value(json!({"id": "i", "answerSpec": {"fields": fields}})).unwrap()
}

fn answer(outcome: &str, data: Value) -> InteractionAnswer {
    serde_json::from_value(json!({"id": "i", "outcome": outcome, "data": data})).unwrap()
}

/// The field that is wrong with a positive answer; empty when it is the answer as a whole.
fn wrong(request: &InteractionRequest, data: Value) -> Option<String> {
    let problem = request.check(&answer("accepted", data)).err()?;
    Some(problem.field.unwrap_or_default())
}

fn options() -> Value {
    json!([{"value": "red"}, {"value": "blue"}])
}

#[test]
fn each_kind_of_field_takes_its_own_values_only() {
    let select = |multi: bool, custom: bool| {
        json!({"key": "f", "kind": "select", "options": options(), "multi": multi,
            "allowCustom": custom, "required": true})
    };
    let field = |kind: &str| json!({"key": "f", "kind": kind, "required": true});
    for (field, right, not) in [
        (field("text"), vec![json!("a")], vec![json!(1), json!(" "), json!(["a"]), json!(null)]),
        (field("secret"), vec![json!("a")], vec![json!(1), json!("")]),
        (field("number"), vec![json!(1), json!(-0.5)], vec![json!("1"), json!(true)]),
        (field("boolean"), vec![json!(true), json!(false)], vec![json!("true"), json!(1)]),
        (select(false, false), vec![json!("red")], vec![json!("green"), json!(["red"]), json!("")]),
        (select(false, true), vec![json!("red"), json!("green")], vec![json!(" "), json!(2)]),
        (
            select(true, false),
            vec![json!(["red"]), json!(["red", "blue"])],
            vec![json!("red"), json!(["red", "green"]), json!([]), json!([1])],
        ),
        (select(true, true), vec![json!(["green"])], vec![json!([""]), json!({"0": "red"})]),
        (field("of the future"), vec![json!({"x": 1})], vec![json!(null)]),
    ] {
        let request = request(json!([field]));
        for value in right {
            assert_eq!(wrong(&request, json!({"f": value})), None, "{value} for {field}");
        }
        for value in not {
            let found = wrong(&request, json!({"f": value}));
            assert_eq!(found.as_deref(), Some("f"), "{value} for {field}");
        }
        assert_eq!(wrong(&request, json!({})).as_deref(), Some("f"));
    }
    let long = json!({"f": "x".repeat(20_000)});
    assert!(wrong(&request(json!([field("text")])), long.clone()).is_some());
    assert!(wrong(&request(json!([select(false, true)])), long).is_some());
}

#[test]
fn to_refuse_nothing_has_to_be_filled_in_but_what_is_has_to_be_right() {
    let request =
        request(json!([{"key": "f", "kind": "select", "options": options(), "required": true}]));
    for outcome in ["declined", "cancelled"] {
        request.check(&answer(outcome, json!({}))).unwrap();
        assert!(request.check(&answer(outcome, json!({"f": "green"}))).is_err());
    }
    assert!(request.check(&answer("accepted", json!({}))).is_err());
}

#[test]
fn what_was_not_asked_for_is_no_answer() {
    let keys = ["f", "__proto__", "constructor", "prototype", "a b", ""];
    // Not even when the agent itself asks for it.
    let fields: Vec<Value> = keys.iter().map(|key| json!({"key": key, "kind": "text"})).collect();
    let asked = request(json!(fields));
    assert_eq!(wrong(&asked, json!({"f": "x"})), None);
    for key in &keys[1..] {
        assert_eq!(wrong(&asked, json!({*key: "x"})).as_deref(), Some(""), "{key}");
    }
    assert_eq!(wrong(&request(json!([])), json!({"f": "x"})).as_deref(), Some(""));
}

#[test]
fn only_an_outcome_that_is_offered_and_only_to_this_request() {
    let mut request = request(json!([]));
    request.check(&answer("cancelled", json!({}))).unwrap();
    request.allowed_outcomes.pop();
    assert!(request.check(&answer("cancelled", json!({}))).is_err());
    request.id = "j".to_owned();
    assert!(request.check(&answer("accepted", json!({}))).is_err());
}

#[test]
fn what_may_be_kept_of_an_answer_holds_no_secret() {
    let request = request(json!([
        {"key": "a", "kind": "text"}, {"key": "b", "kind": "secret"}, {"key": "c", "kind": "vault"},
    ]));
    let data = json!({"a": "x", "b": "hunter2", "c": "hunter2", "d": "hunter2"});
    let kept = request.without_secrets(data.as_object().unwrap());
    assert_eq!(serde_json::to_value(kept).unwrap(), json!({"a": "x"}));
}

#[test]
fn what_is_wrong_is_said_without_what_was_answered() {
    let request = request(json!([{"key": "f", "kind": "secret", "required": true}]));
    let problem = request.check(&answer("accepted", json!({"f": ["hunter2"]}))).unwrap_err();
    assert_eq!(problem.to_string(), "f: it has to be a text");
}
