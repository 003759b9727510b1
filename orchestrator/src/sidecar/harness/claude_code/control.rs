//! What Claude Code asks its driver: whether a tool may be used, and what the person answers.

use serde_json::{Map, Value, json};

use super::super::{
    asks::{Ask, Decision, What, question},
    follow::Step,
};
use crate::{
    interactions::{Power, Question, Wanted, replacement},
    profile::{Permission, Permissions},
    tools::fenced,
};

/// Tools by which it asks the person itself.
const QUESTION: &str = "AskUserQuestion";
const PLAN: &str = "ExitPlanMode";

/// Tools that a profile has a say in.
pub(super) fn tools(permissions: Permissions) -> [(Permission, &'static [&'static str]); 3] {
    [
        (permissions.bash, &["Bash"]),
        (permissions.edit, &["Edit", "Write", "NotebookEdit"]),
        (permissions.network, &["WebFetch", "WebSearch"]),
    ]
}

/// What it asks: a step, or the answer if there is nothing to decide.
pub(super) fn request(line: &Value) -> Result<Step, Value> {
    let (id, request) = (&line["request_id"], &line["request"]);
    if request["subtype"] != "can_use_tool" {
        let error = json!({ "subtype": "error", "request_id": id, "error": "not supported here" });
        return Err(json!({ "type": "control_response", "response": error }));
    }
    let input = &request["input"];
    let what = match request["tool_name"].as_str().unwrap_or_default() {
        QUESTION => What::Questions(questions(input)),
        PLAN => What::Plan(input["plan"].as_str().unwrap_or_default().to_owned()),
        tool => What::Permission(wanted(tool, input)),
    };
    let key = id.as_str().unwrap_or_default().to_owned();
    Ok(Step::Asks(Box::new(Ask { key, what, native: line.clone() })))
}

/// Its answer.
pub(super) fn response(line: &Value, decision: Decision) -> Value {
    let input = &line["request"]["input"];
    let response = match decision {
        Decision::Allowed => json!({ "behavior": "allow", "updatedInput": input }),
        Decision::Answered(answers) => {
            let questions = input["questions"].as_array().into_iter().flatten();
            let answers = questions.zip(answers).map(|(question, answer)| {
                let text = question["question"].as_str().unwrap_or_default().to_owned();
                (text, Value::String(answer.join(", ")))
            });
            let mut input = input.clone();
            input["answers"] = Value::Object(answers.collect::<Map<_, _>>());
            json!({ "behavior": "allow", "updatedInput": input })
        }
        Decision::Denied(words) => json!({ "behavior": "deny", "message": words }),
    };
    let id = &line["request_id"];
    let success = json!({ "subtype": "success", "request_id": id, "response": response });
    json!({ "type": "control_response", "response": success })
}

fn questions(input: &Value) -> Vec<Question> {
    let whole = |asked: &Value| Question {
        multi: asked["multiSelect"] == true,
        custom: true,
        ..question(asked)
    };
    input["questions"].as_array().into_iter().flatten().map(whole).collect()
}

fn wanted(tool: &str, input: &Value) -> Wanted {
    let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    let (power, subject, body) = match tool {
        "Bash" => {
            let about = Some(text("description")).filter(|about| !about.is_empty());
            (Power::Command, text("command"), about)
        }
        "Write" => (Power::Edit, text("file_path"), Some(fenced("", &text("content")))),
        "Edit" => {
            let everywhere = input["replace_all"] == true;
            let change = replacement(&text("old_string"), &text("new_string"), everywhere);
            (Power::Edit, text("file_path"), Some(change))
        }
        "NotebookEdit" => {
            let mode = input["edit_mode"].as_str().unwrap_or("replace");
            let cell = input["cell_id"].as_str().unwrap_or("of no name");
            let source = fenced("", &text("new_source"));
            let change = format!("Cell {cell}: {mode}\n\n{source}");
            (Power::Edit, text("notebook_path"), Some(change))
        }
        "WebFetch" => (Power::Network, text("url"), None),
        "WebSearch" => (Power::Network, text("query"), None),
        tool => (Power::Tool(tool.to_owned()), input.to_string(), None),
    };
    Wanted { power, subject, body }
}
