//! What the demo agent does with the sandbox's commands and files.

use sandbox_sdk::types::{ErrorCode, Exec};
use serde_json::{Value, json};

use super::wording;
use crate::interactions::{Power, Wanted, replacement};
use crate::sidecar::Problem;
use crate::tools::{Tools, cut_middle, fenced};

/// Characters of a tool's output that go into an event; a person can read no more there.
const SHOWN: usize = 16_000;

#[derive(Clone, Debug)]
pub(super) enum ToolCall {
    Bash { command: String },
    Read { path: String },
    Write { path: String, content: String },
    Edit { path: String, old: String, new: String },
    List { path: String },
}

/// What a tool gave.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// As it is shown: text, or `{stdout, stderr, exitCode}` for a command.
    pub(super) output: Value,
    /// What the agent reads: a file, a list, a command's standard output.
    pub(super) text: String,
    /// A command's standard error.
    pub(super) stderr: String,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
    /// It failed because what it was to work on is not there.
    pub(super) missing: bool,
    /// It was not allowed, and not even tried.
    pub(super) denied: bool,
    /// Milliseconds a command took.
    pub(super) millis: u64,
}

impl Outcome {
    pub(super) fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    fn done(output: impl Into<String>, text: String) -> Self {
        Self { output: Value::String(output.into()), text, ..Self::nothing() }
    }

    fn failed(problem: Problem) -> Self {
        let missing = problem.code == ErrorCode::NotFound;
        Self { error: Some(problem.message), missing, ..Self::nothing() }
    }

    pub(super) fn denied(words: String) -> Self {
        Self { error: Some(words), denied: true, ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            output: Value::Null,
            text: String::new(),
            stderr: String::new(),
            error: None,
            missing: false,
            denied: false,
            millis: 0,
        }
    }
}

impl ToolCall {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Bash { .. } => "bash",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Edit { .. } => "edit",
            Self::List { .. } => "list",
        }
    }

    pub(super) fn title(&self) -> String {
        match self {
            Self::Bash { command } => command.lines().next().unwrap_or_default().to_owned(),
            Self::Read { path }
            | Self::Write { path, .. }
            | Self::Edit { path, .. }
            | Self::List { path } => path.clone(),
        }
    }

    pub(super) fn input(&self) -> Value {
        match self {
            Self::Bash { command } => json!({ "command": command }),
            Self::Read { path } | Self::List { path } => json!({ "file_path": path }),
            Self::Write { path, content } => json!({ "file_path": path, "content": content }),
            Self::Edit { path, old, new } => {
                json!({ "file_path": path, "old_string": old, "new_string": new })
            }
        }
    }
}

impl ToolCall {
    /// What it takes to be allowed. Looking always is.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let (power, subject, body) = match self {
            Self::Bash { command } => (Power::Command, command, None),
            Self::Write { path, content } => (Power::Edit, path, Some(fenced("", content))),
            Self::Edit { path, old, new } => (Power::Edit, path, Some(replacement(old, new, true))),
            Self::Read { .. } | Self::List { .. } => return None,
        };
        Some(Wanted { power, subject: subject.clone(), body })
    }

    /// Dropping the future kills a command.
    pub(super) async fn perform(&self, tools: &Tools) -> Outcome {
        match self {
            Self::Bash { command } => bash(tools, command).await,
            Self::Read { path } => match tools.read(path).await {
                Ok(text) => Outcome::done(shown(&text), text),
                Err(problem) => Outcome::failed(problem),
            },
            Self::Write { path, content } => match tools.write(path, content.clone()).await {
                Ok(size) => Outcome::done(format!("Wrote {}.", wording::size(size)), String::new()),
                Err(problem) => Outcome::failed(problem),
            },
            Self::Edit { path, old, new } => edit(tools, path, old, new).await,
            Self::List { path } => list(tools, path).await,
        }
    }
}

async fn bash(tools: &Tools, command: &str) -> Outcome {
    let exec = Exec { command: command.to_owned(), ..Exec::default() };
    let result = match tools.run(exec).await {
        Ok(result) => result,
        Err(problem) => return Outcome::failed(problem),
    };
    let error = match result.exit_code {
        0 => None,
        _ if result.timed_out => Some(format!("Timed out after {} ms", result.duration)),
        code => Some(format!("Exited with code {code}")),
    };
    let output = json!({
        "stdout": shown(&result.stdout),
        "stderr": shown(&result.stderr),
        "exitCode": result.exit_code,
    });
    let (text, stderr, millis) = (result.stdout, result.stderr, result.duration);
    Outcome { output, text, stderr, error, millis, ..Outcome::nothing() }
}

async fn edit(tools: &Tools, path: &str, old: &str, new: &str) -> Outcome {
    let text = match tools.read(path).await {
        Ok(text) => text,
        Err(problem) => return Outcome::failed(problem),
    };
    let places = text.matches(old).count();
    if old.is_empty() || places == 0 {
        return Outcome::failed(Problem::invalid(format!("{path} does not contain that text")));
    }
    match tools.write(path, text.replace(old, new)).await {
        Ok(_) => {
            let said = format!("Replaced {}.", wording::count(places, "place"));
            Outcome::done(said, places.to_string())
        }
        Err(problem) => Outcome::failed(problem),
    }
}

async fn list(tools: &Tools, path: &str) -> Outcome {
    let (entries, more) = match tools.list(path).await {
        Ok(listed) => listed,
        Err(problem) => return Outcome::failed(problem),
    };
    let mut lines: Vec<String> = entries
        .iter()
        .map(|entry| match entry.is_folder {
            true => format!("{}/", entry.name),
            false => format!("{}  {}", entry.name, wording::size(entry.size)),
        })
        .collect();
    if more {
        lines.push("…".into());
    }
    let text = lines.join("\n");
    Outcome::done(if text.is_empty() { "(empty)" } else { text.as_str() }, text.clone())
}

fn shown(text: &str) -> String {
    cut_middle(text, SHOWN)
}
