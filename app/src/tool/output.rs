//! What a tool gave, made readable.

use sandbox_sdk::types::ToolState;
use serde_json::Value;

use super::{CONTENT, Category, PATH, diff, text_of};

/// Longest output that is shown; the end of it, where results and errors stand.
const MAX_SHOWN: usize = 30_000;

/// What unfolds under a tool's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Nothing,
    /// What a terminal showed.
    Terminal {
        text: String,
        exit_code: Option<i64>,
    },
    /// A file's content, and the ending of its name.
    File {
        text: String,
        language: String,
    },
    Diff(Vec<diff::Line>),
}

/// The output of a call by its category.
pub(super) fn of(category: Category, state: &ToolState) -> Output {
    let input = state.input();
    let (output, error) = match state {
        ToolState::Completed { output, .. } => (output, None),
        ToolState::Error { output, error, .. } => (output, error.as_deref()),
        _ => (&Value::Null, None),
    };
    if error.is_none() {
        let language = || {
            let path = text_of(input, PATH).unwrap_or_default();
            path.rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_owned())
        };
        let file = match category {
            Category::Write => text_of(input, CONTENT).map(clipped),
            Category::Read => said(output).map(|text| clipped(&text)),
            _ => None,
        };
        if let Some(text) = file {
            return Output::File { text, language: language() };
        }
        let lines = if category == Category::Edit { diff::of_input(input) } else { Vec::new() };
        if !lines.is_empty() {
            return Output::Diff(diff::shown(lines));
        }
    }
    let mut text = said(output).unwrap_or_default();
    if let Some(error) = error.filter(|error| !text.contains(*error)) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(error);
    }
    let text = clipped(&plain(&text));
    let exit_code = exit_code(output);
    if text.trim().is_empty() && exit_code.is_none() {
        return Output::Nothing;
    }
    Output::Terminal { text: text.trim_end().to_owned(), exit_code }
}

/// The text of an output, whatever shape it has.
fn said(output: &Value) -> Option<String> {
    match output {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            if let Some(text) = text("content").or_else(|| text("output")) {
                return Some(text.to_owned());
            }
            let (stdout, stderr) = (text("stdout"), text("stderr"));
            if stdout.is_none() && stderr.is_none() {
                return serde_json::to_string_pretty(output).ok();
            }
            let mut joined = stdout.unwrap_or_default().to_owned();
            let stderr = stderr.unwrap_or_default();
            if !joined.is_empty() && !joined.ends_with('\n') && !stderr.is_empty() {
                joined.push('\n');
            }
            Some(joined + stderr)
        }
        other => serde_json::to_string_pretty(other).ok(),
    }
}

pub(super) fn stderr(output: &Value) -> Option<&str> {
    output.get("stderr")?.as_str()
}

pub(super) fn exit_code(output: &Value) -> Option<i64> {
    output.get("exitCode").or_else(|| output.get("exit_code"))?.as_i64()
}

/// The text without the commands that a terminal would obey: colours and titles are left out, and a
/// line that was written over shows what it showed last.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\r' if chars.peek() != Some(&'\n') => out.truncate(line),
            '\r' => {}
            '\u{8}' => {
                if out.len() > line {
                    out.pop();
                }
            }
            '\n' => {
                out.push('\n');
                line = out.len();
            }
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // Ends with a letter.
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        // Ends with a bell, or with another escape and a backslash.
        Some(']' | 'P' | '_' | '^') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some('(' | ')' | '#') => drop(chars.next()),
        _ => {}
    }
}

fn clipped(text: &str) -> String {
    if text.len() <= MAX_SHOWN {
        return text.to_owned();
    }
    let start = text.ceil_char_boundary(text.len() - MAX_SHOWN);
    format!("… {} characters before this are not shown …\n{}", start, &text[start..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completed(input: Value, output: Value) -> ToolState {
        ToolState::Completed { input, output, title: None, time: Default::default() }
    }

    #[test]
    fn both_streams_of_a_command_are_shown_with_its_code() {
        let state = completed(json!({}), json!({"stdout": "a", "stderr": "b\n", "exitCode": 1}));
        assert_eq!(
            of(Category::Command, &state),
            Output::Terminal { text: "a\nb".into(), exit_code: Some(1) }
        );
    }

    #[test]
    fn a_written_file_shows_what_was_written() {
        let state = completed(json!({"path": "a.py", "content": "x = 1"}), json!("ok"));
        assert_eq!(
            of(Category::Write, &state),
            Output::File { text: "x = 1".into(), language: "py".into() }
        );
    }

    #[test]
    fn a_terminal_s_commands_are_left_out() {
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m"), "red");
        assert_eq!(plain("10%\r50%\rdone\nnext"), "done\nnext");
        assert_eq!(plain("a\u{1b}]52;c;cGFzdGU=\u{7}b"), "ab");
        assert_eq!(plain("a\u{1b}]8;;http://x\u{1b}\\link"), "alink");
        assert_eq!(plain("line\r\nnext\u{0}"), "line\nnext");
    }

    #[test]
    fn of_a_long_output_the_end_is_shown() {
        let state = completed(json!({}), json!(format!("{}END", "x".repeat(100_000))));
        let Output::Terminal { text, .. } = of(Category::Command, &state) else { panic!() };
        assert!(text.ends_with("END") && text.len() < 31_000);
        assert!(text.starts_with("… 70003 characters"));
    }

    #[test]
    fn an_error_stands_behind_what_was_given_before() {
        let state = ToolState::Error {
            input: json!({}),
            error: Some("timed out".into()),
            output: json!("half"),
            time: Default::default(),
        };
        assert_eq!(
            of(Category::Command, &state),
            Output::Terminal { text: "half\ntimed out".into(), exit_code: None }
        );
    }

    #[test]
    fn no_output_is_nothing() {
        assert_eq!(of(Category::Command, &completed(json!({}), json!(""))), Output::Nothing);
    }
}
