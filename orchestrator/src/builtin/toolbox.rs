//! The tools that a model can call, and what comes of it.

mod arguments;
mod edit;
mod perform;
mod search;

use serde_json::{Value, json};

use crate::{
    interactions::{Power, Question, Wanted, replacement},
    profile::{Permission, Profile},
    tools::fenced,
};
use arguments::Arguments;

/// A tool as a model is told of it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// JSON Schema of its input.
    pub(super) parameters: Value,
}

/// A call that can be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Invocation {
    Bash {
        command: String,
        timeout_ms: Option<u64>,
    },
    /// Lines count from 1.
    Read {
        path: String,
        first: usize,
        lines: usize,
    },
    Write {
        path: String,
        content: String,
    },
    Edit {
        path: String,
        old: String,
        new: String,
        all: bool,
    },
    Search {
        pattern: String,
        glob: String,
        path: String,
    },
    List {
        path: String,
    },
    /// Of the person.
    Ask(Question),
}

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

/// Tools that the profile does not rule out.
pub(super) fn specs(profile: &Profile) -> Vec<Spec> {
    let mut specs = all();
    specs.retain(|spec| permission(spec.name, profile) != Permission::Deny);
    specs
}

/// Whether a tool may be used. Looking is always allowed.
pub(super) fn permission(tool: &str, profile: &Profile) -> Permission {
    match tool {
        "bash" => profile.permissions.bash,
        "write" | "edit" => profile.permissions.edit,
        _ => Permission::Allow,
    }
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

impl Invocation {
    /// Reads a call with all the mistakes that models make and that leave no doubt.
    ///
    /// # Errors
    /// In words for the model, so that it can do better.
    pub(super) fn read(tool: &str, raw: &str) -> Result<Self, String> {
        const PATH: &[&str] = &["file_path", "path", "filePath", "file", "filename", "target"];
        const FOLDER: &[&str] = &["path", "folder", "dir", "directory", "file_path"];
        const OLD: &[&str] = &["old_string", "old_str", "oldString", "old", "old_text"];
        const NEW: &[&str] = &["new_string", "new_str", "newString", "new", "new_text"];
        let mut input = Arguments::read(raw, tool)?;
        let folder = |input: &mut Arguments| {
            let path = input.text(FOLDER).filter(|path| !path.trim().is_empty());
            path.unwrap_or_else(|| crate::sidecar::WORKSPACE.to_owned())
        };
        Ok(match tool {
            "bash" => Self::Bash {
                timeout_ms: input
                    .number(&["timeout_seconds"])
                    .map(|seconds| seconds.saturating_mul(1000))
                    .or_else(|| input.number(&["timeout", "timeout_ms"]))
                    .filter(|millis| *millis > 0),
                command: input.needed(&["command", "cmd", "script", "code", "input"])?,
            },
            "read" => Self::Read {
                path: input.needed(PATH)?,
                first: input.count(&["offset", "start_line", "start"]).unwrap_or(1).max(1),
                lines: input.count(&["limit", "lines"]).unwrap_or(usize::MAX).max(1),
            },
            "write" => Self::Write {
                path: input.needed(PATH)?,
                content: input.needed(&["content", "contents", "text", "file_text", "data"])?,
            },
            "edit" => Self::Edit {
                path: input.needed(PATH)?,
                old: input.needed(OLD)?,
                new: input.needed(NEW)?,
                all: input.flag(&["replace_all", "replaceAll", "all"]),
            },
            "search" => {
                let pattern = input.text(&["pattern", "regex", "query"]).unwrap_or_default();
                let glob = input.text(&["glob", "include", "name", "file_pattern"]);
                let glob = glob.unwrap_or_default();
                if pattern.is_empty() && glob.is_empty() {
                    return Err("search needs a pattern or a glob.".into());
                }
                Self::Search { pattern, glob, path: folder(&mut input) }
            }
            "list" => Self::List { path: folder(&mut input) },
            "ask_user" => Self::Ask(Question {
                options: input.options(&["options", "choices", "answers"]),
                multi: input.flag(&["multiple", "multi", "multiSelect"]),
                custom: true,
                text: input.needed(&["question", "prompt", "text", "message"])?,
                ..Question::default()
            }),
            _ => return Err(unknown(tool)),
        })
    }

    /// As it is shown, and as the model will be reminded of it.
    pub(super) fn input(&self) -> Value {
        match self {
            Self::Bash { command, timeout_ms: None } => json!({ "command": command }),
            Self::Bash { command, timeout_ms: Some(millis) } => {
                json!({ "command": command, "timeout_seconds": millis.div_ceil(1000) })
            }
            Self::Read { path, first: 1, lines: usize::MAX } => json!({ "file_path": path }),
            Self::Read { path, first, lines: usize::MAX } => {
                json!({ "file_path": path, "offset": first })
            }
            Self::Read { path, first, lines } => {
                json!({ "file_path": path, "offset": first, "limit": lines })
            }
            Self::Write { path, content } => json!({ "file_path": path, "content": content }),
            Self::Edit { path, old, new, all } => json!({ "file_path": path, "old_string": old,
                "new_string": new, "replace_all": all }),
            Self::Search { pattern, glob, path } => {
                let mut input = json!({ "path": path });
                for (name, value) in [("pattern", pattern), ("glob", glob)] {
                    if !value.is_empty() {
                        input[name] = json!(value);
                    }
                }
                input
            }
            Self::List { path } => json!({ "path": path }),
            Self::Ask(question) => {
                let labels = question.options.iter().map(|(label, _)| label);
                let mut input = json!({ "question": question.text });
                if !question.options.is_empty() {
                    input["options"] = labels.map(String::as_str).collect();
                }
                if question.multi {
                    input["multiple"] = json!(true);
                }
                input
            }
        }
    }

    pub(super) fn title(&self) -> String {
        match self {
            Self::Bash { command, .. } => command.trim().lines().next().unwrap_or_default().into(),
            Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::Edit { path, .. }
            | Self::List { path } => path.clone(),
            Self::Ask(question) => question.text.trim().lines().next().unwrap_or_default().into(),
            Self::Search { pattern, glob, .. } => {
                if pattern.is_empty() {
                    glob.clone()
                } else {
                    pattern.clone()
                }
            }
        }
    }

    /// What it takes to be allowed, where somebody has to be asked.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let (power, subject, body) = match self {
            Self::Bash { command, .. } => (Power::Command, command, None),
            Self::Write { path, content } => (Power::Edit, path, Some(fenced("", content))),
            Self::Edit { path, old, new, all } => {
                (Power::Edit, path, Some(replacement(old, new, *all)))
            }
            _ => return None,
        };
        Some(Wanted { power, subject: subject.clone(), body })
    }

    /// Whether it waits for the calls before it, and those after it for its end. Two changes of one
    /// file at the same time would lose one of them.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Edit { .. })
    }
}

pub(super) fn unknown(tool: &str) -> String {
    let names: Vec<_> = NAMES.iter().map(|known| known.0).collect();
    let tool: String = tool.chars().take(64).collect();
    format!("There is no tool {tool:?}. There are: {}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Permissions;

    fn read(tool: &str, raw: &str) -> Result<Invocation, String> {
        Invocation::read(canonical(tool).unwrap(), raw)
    }

    #[test]
    fn calls_are_understood_in_the_words_of_other_agents() {
        let bash = |command: &str| Invocation::Bash { command: command.into(), timeout_ms: None };
        assert_eq!(read("Bash", r#"{"command":"ls"}"#), Ok(bash("ls")));
        assert_eq!(read("exec_command", r#"{"cmd":["bash","-lc","ls -l"]}"#), Ok(bash("ls -l")));
        assert_eq!(read("functions.bash", "ls -la"), Ok(bash("ls -la")));
        let edit = r#"{"path":"a","old_str":"x","new_str":"","replaceAll":"true"}"#;
        let expected =
            Invocation::Edit { path: "a".into(), old: "x".into(), new: String::new(), all: true };
        assert_eq!(read("str_replace", edit), Ok(expected));
        let expected = Invocation::Read { path: "a".into(), first: 5, lines: 10 };
        assert_eq!(read("cat", r#"{"file":"a","offset":"5","limit":10.0}"#), Ok(expected));
        assert_eq!(read("ls", ""), Ok(Invocation::List { path: "/workspace".into() }));
        let options = r#"["red", {"label": "blue", "description": "like the sky"}, 7, ""]"#;
        let asked = format!(r#"{{"question":"Which?","options":{options},"multiSelect":true}}"#);
        let options = vec![("red".into(), None), ("blue".into(), Some("like the sky".into()))];
        let expected =
            Question { text: "Which?".into(), options, multi: true, custom: true, secret: false };
        assert_eq!(read("AskUserQuestion", &asked), Ok(Invocation::Ask(expected)));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(read("write", r#"{"file_path":"a"}"#).unwrap_err().contains("content"));
        assert!(read("search", "{}").unwrap_err().contains("pattern"));
        assert_eq!(canonical("launch_missiles"), None);
        assert!(unknown("fly").contains("bash"));
    }

    #[test]
    fn a_call_read_again_from_what_is_shown_of_it_is_the_same() {
        let calls = [
            Invocation::Bash { command: "x".into(), timeout_ms: Some(5_000) },
            Invocation::Read { path: "a".into(), first: 3, lines: usize::MAX },
            Invocation::Search { pattern: String::new(), glob: "*.rs".into(), path: "src".into() },
            Invocation::Edit { path: "a".into(), old: "b".into(), new: "c".into(), all: false },
            Invocation::Ask(Question {
                text: "Which?".into(),
                options: vec![("a".into(), None), ("b".into(), None)],
                custom: true,
                ..Question::default()
            }),
        ];
        let tools = ["bash", "read", "search", "edit", "ask_user"];
        for (call, tool) in calls.into_iter().zip(tools) {
            assert_eq!(Invocation::read(tool, &call.input().to_string()), Ok(call));
        }
    }

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
