//! What Codex asks its driver: whether it may, and what the person answers.

use serde_json::{Map, Value, json};

use super::super::{
    asks::{Ask, Decision, What, question},
    follow::Step,
};
use super::translate::{command, diff};
use crate::{
    interactions::{Power, Question, Wanted},
    profile::{Permission, Permissions},
    tools::fenced,
};

/// JSON-RPC's code for a method that is not there.
const NO_METHOD: i32 = -32601;

/// What it asks: a step, or the answer if there is nothing to decide. `changes`: what the request's
/// item is to change in files.
pub(super) fn request(
    message: &Value,
    permissions: Permissions,
    changes: Option<&Value>,
) -> Result<Step, Value> {
    let parameters = &message["params"];
    let what = match message["method"].as_str().unwrap_or_default() {
        "item/commandExecution/requestApproval" => {
            let line = parameters["command"].as_str().map(command).unwrap_or_default();
            permission(permissions.bash, message, Power::Command, line, None)?
        }
        "item/fileChange/requestApproval" => {
            let paths = changes.map(paths).unwrap_or_default();
            let body = changes.map(|changes| fenced("diff", &diff(changes)));
            permission(permissions.edit, message, Power::Edit, paths, body)?
        }
        "item/tool/requestUserInput" => What::Questions(questions(parameters)),
        _ => {
            let error = json!({ "code": NO_METHOD, "message": "not supported here" });
            return Err(json!({ "id": message["id"], "error": error }));
        }
    };
    let key = message["id"].to_string();
    Ok(Step::Asks(Box::new(Ask { key, what, native: message.clone() })))
}

/// Its answer.
pub(super) fn response(message: &Value, decision: &Decision) -> Value {
    let result = match decision {
        Decision::Answered(answers) => {
            let questions = message["params"]["questions"].as_array().into_iter().flatten();
            let answers = questions.zip(answers).map(|(question, answer)| {
                let id = question["id"].as_str().unwrap_or_default().to_owned();
                (id, json!({ "answers": answer }))
            });
            json!({ "answers": answers.collect::<Map<_, _>>() })
        }
        Decision::Allowed => json!({ "decision": "accept" }),
        Decision::Denied(_) if message["params"]["questions"].is_array() => {
            json!({ "answers": {} })
        }
        Decision::Denied(_) => json!({ "decision": "decline" }),
    };
    json!({ "id": message["id"], "result": result })
}

/// It asks for more than a profile wants to be asked for, so that some of it is decided at once.
fn permission(
    permission: Permission,
    message: &Value,
    power: Power,
    subject: String,
    body: Option<String>,
) -> Result<What, Value> {
    match permission {
        Permission::Allow => Err(response(message, &Decision::Allowed)),
        Permission::Deny => Err(response(message, &Decision::Denied(String::new()))),
        Permission::Ask => {
            let reason = message["params"]["reason"].as_str().map(str::to_owned);
            Ok(What::Permission(Wanted { power, subject, body: body.or(reason) }))
        }
    }
}

fn paths(changes: &Value) -> String {
    let changes = changes.as_array().into_iter().flatten();
    changes.filter_map(|change| change["path"].as_str()).collect::<Vec<_>>().join("\n")
}

fn questions(parameters: &Value) -> Vec<Question> {
    let whole = |asked: &Value| Question {
        multi: false,
        // What it says of own words is for a terminal; here they are always possible.
        custom: true,
        secret: asked["isSecret"] == true,
        ..question(asked)
    };
    parameters["questions"].as_array().into_iter().flatten().map(whole).collect()
}
