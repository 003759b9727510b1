//! The tools, as a model is told of them.

use serde_json::{Value, json};

use super::permission;
use crate::profile::{Permission, Profile};

/// A tool as a model is told of it.
#[derive(Clone, Debug)]
pub(in crate::builtin) struct Spec {
    pub(in crate::builtin) name: &'static str,
    pub(in crate::builtin) description: &'static str,
    /// JSON Schema of its input.
    pub(in crate::builtin) parameters: Value,
}

/// Tools that the profile does not rule out.
pub(in crate::builtin) fn specs(profile: &Profile) -> Vec<Spec> {
    let mut specs = all();
    specs.retain(|spec| permission(spec.name, profile) != Permission::Deny);
    specs
}

fn all() -> Vec<Spec> {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let number = |about: &str| json!({ "type": "integer", "description": about });
    let input = |required: &[&str], properties: Value| {
        json!({ "type": "object", "properties": properties, "required": required,
            "additionalProperties": false })
    };
    let path = || text("Relative to /workspace, or absolute");
    vec![
        Spec {
            name: "bash",
            description: "Run a shell command in /workspace and get its output. Each call is a new \
                shell. There is no terminal and no input.",
            parameters: input(
                &["command"],
                json!({ "command": text("The command"),
                    "timeout_seconds": number("At most 3600; 120 if absent") }),
            ),
        },
        Spec {
            name: "read",
            description: "Read a text file.",
            parameters: input(
                &["file_path"],
                json!({ "file_path": path(), "offset": number("First line, from 1"),
                    "limit": number("Number of lines") }),
            ),
        },
        Spec {
            name: "write",
            description: "Write a whole file; folders are made, what was there is replaced.",
            parameters: input(
                &["file_path", "content"],
                json!({ "file_path": path(), "content": text("The file's whole content") }),
            ),
        },
        Spec {
            name: "edit",
            description: "Replace text in a file. old_string must stand in the file exactly so, and \
                only once unless replace_all is true.",
            parameters: input(
                &["file_path", "old_string", "new_string"],
                json!({ "file_path": path(), "old_string": text("Text to replace"),
                    "new_string": text("Text to put there"),
                    "replace_all": { "type": "boolean", "description": "Replace every occurrence" } }),
            ),
        },
        Spec {
            name: "search",
            description: "Search in files. With a pattern: the lines that match it. Without: the \
                files whose names match the glob.",
            parameters: input(
                &[],
                json!({ "pattern": text("Regular expression for lines"),
                    "glob": text("Which files, such as *.rs or src/**/*.ts"),
                    "path": text("Folder or file to search; /workspace if absent") }),
            ),
        },
        Spec {
            name: "list",
            description: "List a folder.",
            parameters: input(&[], json!({ "path": text("/workspace if absent") })),
        },
        Spec {
            name: "ask_user",
            description: "Ask the user a question and wait for the answer. Only for what you can't \
                find out or decide yourself, and what matters.",
            parameters: input(
                &["question"],
                json!({ "question": text("The whole question"),
                    "options": { "type": "array", "items": { "type": "string" },
                        "description": "Short answers to choose from; own words are always possible" },
                    "multiple": { "type": "boolean", "description": "Several may be chosen" } }),
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Permissions;

    #[test]
    fn a_profile_takes_tools_away() {
        let names = |profile: &Profile| -> Vec<_> {
            specs(profile).into_iter().map(|spec| spec.name).collect()
        };
        assert_eq!(names(&Profile::default()).len(), 7);
        let with = |bash, edit| {
            let permissions = Permissions { bash, edit, ..Permissions::default() };
            Profile { permissions, ..Profile::default() }
        };
        let profile = with(Permission::Deny, Permission::Deny);
        assert_eq!(names(&profile), ["read", "search", "list", "ask_user"]);
        let profile = with(Permission::Ask, Permission::Allow);
        assert_eq!(names(&profile).len(), 7, "somebody may be asked");
    }
}
