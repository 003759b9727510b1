//! The demo agent's hands: commands and files of the sandbox.

use sandbox_sdk::types::{ErrorCode, Exec, ReadFile, WriteFile};
use serde_json::{Value, json};

use super::wording;
use crate::sidecar::{CommandRunner, FileStore, Problem};

/// Characters of a tool's output that go into an event; a person can read no more there.
const SHOWN: usize = 16_000;

#[derive(Clone)]
pub(crate) struct Tools {
    commands: CommandRunner,
    files: FileStore,
}

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
    /// Milliseconds a command took.
    pub(super) millis: u64,
}

impl Outcome {
    pub(super) fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    fn done(output: impl Into<String>, text: String) -> Self {
        let output = Value::String(output.into());
        Self { output, text, stderr: String::new(), error: None, missing: false, millis: 0 }
    }

    fn failed(problem: Problem) -> Self {
        let missing = problem.code == ErrorCode::NotFound;
        let (text, stderr) = (String::new(), String::new());
        Self { output: Value::Null, text, stderr, error: Some(problem.message), missing, millis: 0 }
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

impl Tools {
    pub(crate) fn new(commands: CommandRunner, files: FileStore) -> Self {
        Self { commands, files }
    }

    /// Dropping the future kills a command.
    pub(super) async fn call(&self, call: &ToolCall) -> Outcome {
        match call {
            ToolCall::Bash { command } => self.bash(command).await,
            ToolCall::Read { path } => match self.read(path).await {
                Ok(text) => Outcome::done(shown(&text), text),
                Err(problem) => Outcome::failed(problem),
            },
            ToolCall::Write { path, content } => match self.write(path, content.clone()).await {
                Ok(size) => Outcome::done(format!("Wrote {}.", wording::size(size)), String::new()),
                Err(problem) => Outcome::failed(problem),
            },
            ToolCall::Edit { path, old, new } => self.edit(path, old, new).await,
            ToolCall::List { path } => self.list(path).await,
        }
    }

    pub(super) async fn read(&self, path: &str) -> Result<String, Problem> {
        let request = ReadFile { path: path.to_owned(), encoding: None };
        self.files.read(request).await.map(|file| file.content)
    }

    pub(super) async fn write(&self, path: &str, content: String) -> Result<u64, Problem> {
        let request = WriteFile { path: path.to_owned(), content, encoding: None };
        self.files.write(request).await
    }

    async fn bash(&self, command: &str) -> Outcome {
        let exec = Exec { command: command.to_owned(), ..Exec::default() };
        let result = match self.commands.run(&exec).await {
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
        Outcome { output, text, stderr, error, missing: false, millis }
    }

    async fn edit(&self, path: &str, old: &str, new: &str) -> Outcome {
        let text = match self.read(path).await {
            Ok(text) => text,
            Err(problem) => return Outcome::failed(problem),
        };
        let places = text.matches(old).count();
        if old.is_empty() || places == 0 {
            return Outcome::failed(Problem::invalid(format!("{path} does not contain that text")));
        }
        match self.write(path, text.replace(old, new)).await {
            Ok(_) => {
                let said = format!("Replaced {}.", wording::count(places, "place"));
                Outcome::done(said, places.to_string())
            }
            Err(problem) => Outcome::failed(problem),
        }
    }

    async fn list(&self, path: &str) -> Outcome {
        let (entries, more) = match self.files.list(path.to_owned()).await {
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
}

/// The beginning and the end of a long text.
fn shown(text: &str) -> String {
    let length = text.chars().count();
    if length <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN * 3 / 4).collect();
    let tail: String = text.chars().skip(length - SHOWN / 4).collect();
    format!("{head}\n… {} characters left out …\n{tail}", length - SHOWN)
}
