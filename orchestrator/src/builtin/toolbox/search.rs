//! Searches files with the sandbox's own programs, under its limits, and so that it can be stopped.

use sandbox_sdk::types::Exec;

use super::{Outcome, glob};
use crate::{sidecar::WORKSPACE, tools::Tools};

/// Matches and files that are told.
const MAX_FOUND: usize = 200;
/// Characters of a line; minified files have very long ones.
const MAX_LINE: usize = 300;
/// Folders that hold other people's work.
const SKIPPED: [&str; 4] = [".git", "node_modules", "target", "__pycache__"];

pub(super) async fn search(tools: &Tools, pattern: &str, glob: &str, path: &str) -> Outcome {
    let command = if pattern.is_empty() { find(path) } else { grep(pattern, path, "-P") };
    let mut result = run(tools, command).await;
    // Not every grep knows Perl's expressions.
    if let (false, Ok((_, stderr, 2))) = (pattern.is_empty(), &result)
        && stderr.contains("-P")
    {
        result = run(tools, grep(pattern, path, "-E")).await;
    }
    let (stdout, stderr, _) = match result {
        Ok(result) => result,
        Err(error) => return Outcome::failed(error),
    };
    let lines = stdout.lines().filter(|line| {
        let file = if pattern.is_empty() { line } else { line.split('\0').next().unwrap_or(line) };
        glob.is_empty() || glob::matches(glob, relative(file, path))
    });
    let found: Vec<String> = lines.map(shown).collect();
    if found.is_empty() {
        return match stderr.trim() {
            "" => Outcome::done("Nothing was found.".into()),
            problem => Outcome::failed(problem),
        };
    }
    let mut text = found.iter().take(MAX_FOUND).cloned().collect::<Vec<_>>().join("\n");
    if found.len() > MAX_FOUND {
        text.push_str(&format!("\n… {} more; search for less.", found.len() - MAX_FOUND));
    }
    Outcome::done(text)
}

async fn run(tools: &Tools, command: String) -> Result<(String, String, i32), String> {
    let exec = Exec { command, ..Exec::default() };
    let result = tools.run(&exec).await?;
    Ok((result.stdout, result.stderr, result.exit_code))
}

/// A zero byte parts the file's name from the line's number: either may hold colons.
fn grep(pattern: &str, path: &str, dialect: &str) -> String {
    let skipped = SKIPPED.map(|name| format!("--exclude-dir={name}")).join(" ");
    let (pattern, path) = (quoted(pattern), quoted(path));
    format!("grep -rnIZ --color=never {skipped} {dialect} -e {pattern} -- {path}")
}

fn find(path: &str) -> String {
    let skipped = SKIPPED.map(|name| format!("-name {name}")).join(" -o ");
    // An option it must not seem to be.
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    let path = quoted(&path);
    format!("find {path} -type d '(' {skipped} ')' -prune -o -type f -print | sort")
}

/// A path as it is below the searched folder: that is what a glob is about.
fn relative<'a>(file: &'a str, path: &str) -> &'a str {
    let below = file.strip_prefix(path.trim_end_matches('/')).filter(|rest| rest.starts_with('/'));
    let file = below.unwrap_or(file);
    file.trim_start_matches("./").trim_start_matches('/')
}

fn shown(line: &str) -> String {
    let line = line.strip_prefix(WORKSPACE).and_then(|rest| rest.strip_prefix('/')).unwrap_or(line);
    let line = line.replacen('\0', ":", 1);
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
    fn paths_are_told_from_where_the_search_began() {
        assert_eq!(relative("/workspace/src/a.rs", "/workspace"), "src/a.rs");
        assert_eq!(relative("./src/a.rs", "."), "src/a.rs");
        assert_eq!(relative("src/a.rs", "src/"), "a.rs");
        assert_eq!(relative("src/a.rs", "src/a.rs"), "src/a.rs");
        assert_eq!(shown("/workspace/a.rs\u{0}3:fn"), "a.rs:3:fn");
    }
}
