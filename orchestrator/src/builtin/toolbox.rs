//! The tools that a model can call, and what comes of it.

mod arguments;
mod edit;
mod invocation;
mod parse;
mod perform;
mod search;
mod spec;

use serde_json::Value;

use crate::profile::{Permission, Profile};

pub(super) use invocation::Invocation;
pub(super) use spec::{Spec, specs};

/// What a tool gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// As it is shown: text, or `{stdout, stderr, exitCode}` of a command.
    pub(super) output: Value,
    /// What the model reads.
    pub(super) text: String,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
}

impl Outcome {
    pub(super) fn done(text: String) -> Self {
        Self { output: Value::String(text.clone()), text, error: None }
    }

    pub(super) fn failed(error: impl Into<String>) -> Self {
        let error = error.into();
        Self { output: Value::Null, text: error.clone(), error: Some(error) }
    }
}

/// Names that models have for a tool, ours first.
const NAMES: [(&str, &[&str]); 7] = [
    ("bash", &["shell", "run", "execute", "exec", "exec_command", "run_command", "terminal"]),
    ("read", &["read_file", "cat", "view", "open"]),
    ("write", &["write_file", "create_file", "create"]),
    ("edit", &["edit_file", "str_replace", "replace", "patch"]),
    ("search", &["grep", "glob", "find", "rg", "search_files"]),
    ("list", &["ls", "list_files", "list_dir", "list_directory"]),
    ("ask_user", &["ask", "question", "ask_question", "askuserquestion", "request_user_input"]),
];

/// Our name of the tool that a model means.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("functions.").unwrap_or(&name);
    let named = |known: &(&str, &[&str])| known.0 == name || known.1.contains(&name);
    NAMES.iter().find(|known| named(known)).map(|known| known.0)
}

pub(super) fn unknown(tool: &str) -> String {
    let names: Vec<_> = NAMES.iter().map(|known| known.0).collect();
    let tool: String = tool.chars().take(64).collect();
    format!("There is no tool {tool:?}. There are: {}.", names.join(", "))
}

/// Whether a tool may be used. Looking is always allowed.
pub(super) fn permission(tool: &str, profile: &Profile) -> Permission {
    match tool {
        "bash" => profile.permissions.bash,
        "write" | "edit" => profile.permissions.edit,
        _ => Permission::Allow,
    }
}
