//! Does what was called for.

use sandbox_sdk::types::{Exec, ExecResult};
use serde_json::json;

use super::{Invocation, Outcome, edit, search};
use crate::{
    interactions::Asker,
    tools::{Tools, cut_middle},
};

/// Characters of an output that go into an event; a person can read no more there.
const SHOWN: usize = 16_000;

impl Invocation {
    /// `most`: characters that the model may read of it. Dropping the future kills a command.
    pub(in crate::builtin) async fn perform(
        &self,
        tools: &Tools,
        asker: &Asker,
        most: usize,
    ) -> Outcome {
        let outcome = match self {
            Self::Bash { command, timeout_ms } => {
                let exec =
                    Exec { command: command.clone(), timeout: *timeout_ms, ..Exec::default() };
                match tools.run(exec).await {
                    Ok(result) => return ran(&result, most),
                    Err(error) => Outcome::failed(error),
                }
            }
            Self::Read { path, first, lines } => match tools.read(path).await {
                Ok(text) => Outcome::done(part_of(&text, *first, *lines)),
                Err(error) => Outcome::failed(error),
            },
            Self::Write { path, content } => match tools.write(path, content.clone()).await {
                Ok(size) => Outcome::done(format!("Wrote {size} bytes.")),
                Err(error) => Outcome::failed(error),
            },
            Self::Edit { path, old, new, all } => {
                match replace(tools, path, old, new, *all).await {
                    Ok(1) => Outcome::done("Replaced 1 place.".into()),
                    Ok(places) => Outcome::done(format!("Replaced {places} places.")),
                    Err(error) => Outcome::failed(error),
                }
            }
            Self::Search { pattern, glob, path } => search::search(pattern, glob, path).await,
            Self::List { path } => list(tools, path).await,
            Self::Ask(question) => match asker.question(std::slice::from_ref(question)).await {
                Ok(answers) => {
                    Outcome::done(format!("The user answered: {}", answers.concat().join(", ")))
                }
                Err(words) => Outcome::failed(words),
            },
        };
        fitted(outcome, most)
    }
}

async fn replace(
    tools: &Tools,
    path: &str,
    old: &str,
    new: &str,
    all: bool,
) -> Result<usize, String> {
    let text = tools.read(path).await?;
    let (text, places) = edit::replace(&text, old, new, all)?;
    tools.write(path, text).await?;
    Ok(places)
}

async fn list(tools: &Tools, path: &str) -> Outcome {
    let (entries, more) = match tools.list(path).await {
        Ok(listed) => listed,
        Err(error) => return Outcome::failed(error),
    };
    if entries.is_empty() {
        return Outcome::done("(empty)".into());
    }
    let line = |name: &str, is_folder: bool, size: u64| match is_folder {
        true => format!("{name}/"),
        false => format!("{name}  {size} bytes"),
    };
    let lines = entries.iter().map(|entry| line(&entry.name, entry.is_folder, entry.size));
    let mut lines: Vec<String> = lines.collect();
    if more {
        lines.push("… and more".into());
    }
    Outcome::done(lines.join("\n"))
}

/// Some lines of a file, and where they stand if they are not all.
fn part_of(text: &str, first: usize, most: usize) -> String {
    if text.is_empty() {
        return "(empty file)".into();
    }
    let total = text.lines().count();
    if first == 1 && most >= total {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().skip(first - 1).take(most).collect();
    if lines.is_empty() {
        return format!("[The file has only {total} lines.]");
    }
    let last = first + lines.len() - 1;
    format!("[Lines {first} to {last} of {total}]\n{}", lines.join("\n"))
}

fn ran(result: &ExecResult, most: usize) -> Outcome {
    let error = match result.exit_code {
        0 => None,
        _ if result.timed_out => Some(format!("Timed out after {} ms", result.duration)),
        code => Some(format!("Exited with code {code}")),
    };
    let shown = |text: &str| cut_middle(text, SHOWN);
    let output = json!({ "stdout": shown(&result.stdout), "stderr": shown(&result.stderr),
        "exitCode": result.exit_code });
    // Errors are short, as a rule, and what matters most.
    let stderr = cut_middle(result.stderr.trim_end(), most / 2);
    let stdout =
        cut_middle(result.stdout.trim_end(), most.saturating_sub(stderr.len()).max(most / 2));
    let mut pieces = Vec::new();
    if !stdout.is_empty() {
        pieces.push(stdout);
    }
    if !stderr.is_empty() {
        pieces.push(format!("[Standard error]\n{stderr}"));
    }
    if result.truncated {
        pieces.push(
            "[It wrote more than is kept: only the first megabyte is. Redirect the output into a \
             file and search that for what you need.]"
                .into(),
        );
    }
    match &error {
        Some(error) => pieces.push(format!("[{error}]")),
        None if pieces.is_empty() => pieces.push("[It wrote nothing and ended well.]".into()),
        None => {}
    }
    Outcome { output, text: pieces.join("\n"), error }
}

fn fitted(outcome: Outcome, most: usize) -> Outcome {
    let output = match outcome.output.as_str() {
        Some(text) => json!(cut_middle(text, SHOWN)),
        None => outcome.output,
    };
    Outcome { output, text: cut_middle(&outcome.text, most), error: outcome.error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_say_where_they_stand() {
        let text = "a\nb\nc\nd\n";
        assert_eq!(part_of(text, 1, usize::MAX), text);
        assert_eq!(part_of(text, 2, 2), "[Lines 2 to 3 of 4]\nb\nc");
        assert_eq!(part_of(text, 9, 2), "[The file has only 4 lines.]");
    }

    #[test]
    fn a_command_tells_both_outputs_and_how_it_ended() {
        let ended = |exit_code, stdout: String, stderr: &str| ExecResult {
            exit_code,
            stdout,
            stderr: stderr.into(),
            duration: 1,
            truncated: false,
            timed_out: false,
        };
        let outcome = ran(&ended(2, "x".repeat(5_000), "no such file\n"), 1_000);
        assert!(outcome.text.ends_with("[Standard error]\nno such file\n[Exited with code 2]"));
        assert!(outcome.text.contains("characters left out") && outcome.text.len() < 1_200);
        assert_eq!(outcome.output["exitCode"], 2);
        assert_eq!(ran(&ended(0, String::new(), ""), 1_000).error, None);
    }
}
