//! What a tool call did, in one line and in what unfolds under it.

mod diff;
mod output;

use sandbox_sdk::types::{ToolPart, ToolState};
use serde_json::Value;

pub use diff::{Line, Side};
pub use output::{Output, plain};

/// Kinds of tools, by what they do to the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Command,
    Read,
    Write,
    Edit,
    List,
    Search,
    Web,
    Task,
    Plan,
    Other,
}

/// One quiet line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub category: Category,
    /// "Running" while it runs, "Ran" afterwards, "Run" where it could not be done.
    pub verb: String,
    /// The command, the file, what was looked for.
    pub object: String,
    pub added: usize,
    pub removed: usize,
    /// First line of what went wrong.
    pub why: Option<String>,
    pub running: bool,
    /// Start, and how long it took once it has ended; milliseconds.
    pub start: i64,
    pub took: Option<i64>,
}

/// Longest object of a line, in characters.
const MAX_OBJECT: usize = 200;

/// The line of a tool call.
pub fn summary(tool: &ToolPart) -> Summary {
    let category = category(&tool.tool);
    let input = tool.state.input();
    let running = !tool.state.is_settled();
    let (added, removed) = match category {
        Category::Write => (text_of(input, CONTENT).map_or(0, |text| text.lines().count()), 0),
        Category::Edit => diff::counts(&diff::of_input(input)),
        _ => (0, 0),
    };
    let time = match &tool.state {
        ToolState::Pending { .. } => Default::default(),
        ToolState::Running { time, .. }
        | ToolState::Completed { time, .. }
        | ToolState::Error { time, .. } => *time,
    };
    Summary {
        category,
        verb: verb(category, &tool.state, &tool.tool),
        object: object(category, input),
        added,
        removed,
        why: why(&tool.state),
        running,
        start: time.start,
        took: time.millis().filter(|_| !running),
    }
}

/// What unfolds under the line.
pub fn output(tool: &ToolPart) -> Output {
    output::of(category(&tool.tool), &tool.state)
}

/// Agents name their tools differently; this is what they mean.
fn category(name: &str) -> Category {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("tool:").unwrap_or(&name) {
        "bash" | "shell" | "command" | "execute" | "exec" | "run" => Category::Command,
        "read" | "read_file" | "cat" | "view" => Category::Read,
        "write" | "write_file" | "create_file" => Category::Write,
        "edit" | "patch" | "apply_patch" | "sed" | "str_replace" => Category::Edit,
        "list" | "ls" => Category::List,
        "grep" | "search" | "rg" | "glob" | "find" => Category::Search,
        "web_search" | "web_fetch" | "webfetch" | "websearch" | "fetch" => Category::Web,
        "task" | "agent" | "spawn" => Category::Task,
        "todo" | "todo_write" | "todowrite" => Category::Plan,
        _ => Category::Other,
    }
}

fn verb(category: Category, state: &ToolState, name: &str) -> String {
    let (plain, now, past) = match category {
        Category::Command => ("Run", "Running", "Ran"),
        Category::Read => ("Read", "Reading", "Read"),
        Category::Write => ("Write", "Writing", "Wrote"),
        Category::Edit => ("Edit", "Editing", "Edited"),
        Category::List => ("List", "Listing", "Listed"),
        Category::Search => ("Search", "Searching", "Searched"),
        Category::Web => ("Look up", "Looking up", "Looked up"),
        Category::Task => ("Delegate", "Delegating", "Delegated"),
        Category::Plan => ("Plan", "Planning", "Planned"),
        Category::Other => ("Use", "Using", "Used"),
    };
    let verb = match state {
        ToolState::Completed { .. } => past,
        // It may have been forbidden, or have failed before it did anything.
        ToolState::Error { .. } => plain,
        _ => now,
    };
    if category == Category::Other { format!("{verb} {}", shown(name)) } else { verb.into() }
}

const CONTENT: &[&str] = &["content", "contents", "data", "file_text"];
const PATH: &[&str] = &["file_path", "path", "filePath", "file", "filename"];

fn object(category: Category, input: &Value) -> String {
    let keys: &[&str] = match category {
        Category::Command => &["command", "cmd", "script"],
        Category::Search => &["pattern", "query", "path"],
        Category::Web => &["query", "url"],
        Category::Task => &["description", "prompt"],
        Category::Plan => &[],
        Category::Other => &["description", "command", "path", "query", "url", "name"],
        Category::Read | Category::Write | Category::Edit | Category::List => PATH,
    };
    text_of(input, keys).map(shown).unwrap_or_default()
}

fn text_of<'a>(input: &'a Value, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| input.get(*key)?.as_str())
}

/// First line of a name or a command, as it is.
pub fn shown(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first: String = lines.next().unwrap_or_default().chars().take(MAX_OBJECT).collect();
    let mut line = visible(&first).replace('\t', " ");
    if lines.next().is_some() || text.trim().chars().nth(MAX_OBJECT).is_some() {
        line.push('…');
    }
    line
}

/// The text with those characters written out that could make it look like another one.
pub fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && !matches!(c, '\n' | '\t')) || is_invisible(c) {
            seen.extend(c.escape_unicode());
        } else {
            seen.push(c);
        }
    }
    seen
}

/// Characters that turn the direction of text, or have no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn why(state: &ToolState) -> Option<String> {
    let line = match state {
        ToolState::Error { error, output, .. } => error
            .clone()
            .or_else(|| output.as_str().map(str::to_owned))
            .or_else(|| output::stderr(output).map(str::to_owned))
            .unwrap_or_else(|| "It gave no reason.".into()),
        ToolState::Completed { output, .. } => {
            let code = output::exit_code(output).filter(|code| *code != 0)?;
            match output::stderr(output).filter(|text| !text.trim().is_empty()) {
                Some(text) => text.to_owned(),
                None => format!("It ended with code {code}."),
            }
        }
        _ => return None,
    };
    Some(shown(&output::plain(&line)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, state: Value) -> ToolPart {
        serde_json::from_value(json!({"tool": name, "state": state})).unwrap()
    }

    #[test]
    fn a_command_that_ran_says_so_in_the_past() {
        let summary = summary(&tool(
            "tool:Bash",
            json!({"status": "completed", "input": {"command": "ls -l\nwc"},
                "output": "x", "time": {"start": 1000, "end": 3400}}),
        ));
        assert_eq!((summary.verb.as_str(), summary.object.as_str()), ("Ran", "ls -l…"));
        assert_eq!((summary.took, summary.running, summary.why), (Some(2400), false, None));
    }

    #[test]
    fn a_command_that_runs_says_so_in_the_present() {
        let summary = summary(&tool(
            "shell",
            json!({"status": "running", "input": {"cmd": "make"}, "time": {"start": 5}}),
        ));
        assert_eq!((summary.verb.as_str(), summary.object.as_str()), ("Running", "make"));
        assert!(summary.running && summary.took.is_none());
    }

    #[test]
    fn a_written_file_counts_its_lines_and_an_edited_one_both_sides() {
        let written = summary(&tool(
            "write_file",
            json!({"status": "completed", "input": {"filePath": "a.py", "content": "1\n2\n3\n"}}),
        ));
        assert_eq!((written.object.as_str(), written.added), ("a.py", 3));
        let edited = summary(&tool(
            "edit",
            json!({"status": "completed", "input":
                {"path": "a.py", "oldString": "a\nb\nc", "newString": "a\nB\nC2\nc"}}),
        ));
        assert_eq!((edited.added, edited.removed), (2, 1));
    }

    #[test]
    fn a_failed_call_says_why_in_one_line() {
        let failed = summary(&tool(
            "bash",
            json!({"status": "failed", "input": {"command": "x"}, "error": "not found\nmore"}),
        ));
        assert_eq!((failed.verb.as_str(), failed.why.as_deref()), ("Run", Some("not found…")));
        let ended_badly = summary(&tool(
            "bash",
            json!({"status": "completed", "input": {"command": "x"},
                "output": {"stdout": "", "stderr": "\u{1b}[31mboom\u{1b}[0m\n", "exitCode": 2}}),
        ));
        assert_eq!((ended_badly.verb.as_str(), ended_badly.why.as_deref()), ("Ran", Some("boom")));
    }

    #[test]
    fn a_name_that_would_turn_the_text_around_is_written_out() {
        let read = summary(&tool(
            "read",
            json!({"status": "completed", "input": {"path": "exe.\u{202e}txt\u{200b}"}}),
        ));
        assert_eq!(read.object, "exe.\\u{202e}txt\\u{200b}");
    }

    #[test]
    fn an_unknown_tool_is_named() {
        let used = summary(&tool("weather", json!({"status": "completed", "input": {}})));
        assert_eq!(used.verb, "Used weather");
    }
}
