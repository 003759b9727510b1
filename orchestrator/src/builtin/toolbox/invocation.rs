//! A call of a tool: how it is shown, and what it takes to be allowed.

use serde_json::{Value, json};

use crate::{
    interactions::{Power, Question, Wanted, replacement},
    tools::fenced,
};

/// A call that can be done.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::builtin) enum Invocation {
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

impl Invocation {
    /// As it is shown, and as the model will be reminded of it.
    pub(in crate::builtin) fn input(&self) -> Value {
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

    pub(in crate::builtin) fn title(&self) -> String {
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
    pub(in crate::builtin) fn wanted(&self) -> Option<Wanted> {
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
    pub(in crate::builtin) fn is_alone(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Edit { .. })
    }
}
