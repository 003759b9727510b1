//! What a search found, in words for a model.

use sandbox_sdk::types::SearchFiles;

use super::Outcome;
use crate::sidecar::{Problem, search as sidecar};

/// Matches and files that are told.
const MAX_FOUND: u32 = 200;
/// Characters of a line; minified files have very long ones.
const MAX_LINE: usize = 300;

pub(super) async fn search(pattern: &str, glob: &str, path: &str) -> Outcome {
    let search = SearchFiles {
        pattern: pattern.to_owned(),
        glob: Some(glob.to_owned()),
        cwd: Some(path.to_owned()),
        max_results: Some(MAX_FOUND),
        ..SearchFiles::default()
    };
    let found = if pattern.is_empty() { sidecar::files(search).await } else { lines(search).await };
    let (found, more) = match found {
        Ok(found) => found,
        Err(problem) => return Outcome::failed(problem),
    };
    if found.is_empty() && !more {
        return Outcome::done("Nothing was found.".into());
    }
    let mut text = found.join("\n");
    if more {
        text.push_str("\n… and perhaps more; search for less.");
    }
    Outcome::done(text)
}

async fn lines(search: SearchFiles) -> Result<(Vec<String>, bool), Problem> {
    let found = sidecar::lines(search, sidecar::from_workspace).await?;
    let lines = found.matches.iter().map(|at| cut(format!("{}:{}:{}", at.path, at.line, at.text)));
    Ok((lines.collect(), found.truncated))
}

fn cut(line: String) -> String {
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// One word for a shell, whatever it holds.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_command_as_they_are() {
        assert_eq!(quoted("src/a.rs"), "src/a.rs");
        assert_eq!(quoted("it's; rm -rf $HOME"), r"'it'\''s; rm -rf $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(cut("ä".repeat(MAX_LINE)), "ä".repeat(MAX_LINE));
        assert_eq!(cut("ä".repeat(MAX_LINE + 1)), format!("{}…", "ä".repeat(MAX_LINE)));
    }
}
