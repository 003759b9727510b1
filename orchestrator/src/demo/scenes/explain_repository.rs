//! Explains a repository: what is in it, what it says of itself, and whether its tests pass.

use super::{has, put};
use crate::demo::{
    narrator::{Narrator, Stopped},
    tools::{Outcome, ToolCall},
    wording::{code, count, fenced, quoted, shell_word},
};

/// Made when the workspace holds nothing to explain.
const SAMPLE: &[(&str, &str)] = &[
    ("sample-repo/README.md", include_str!("../texts/sample_repo/README.md")),
    ("sample-repo/shelf/__init__.py", include_str!("../texts/sample_repo/init.py")),
    ("sample-repo/shelf/store.py", include_str!("../texts/sample_repo/store.py")),
    ("sample-repo/shelf/search.py", include_str!("../texts/sample_repo/search.py")),
    ("sample-repo/tests/test_shelf.py", include_str!("../texts/sample_repo/test_shelf.py")),
];

const FILES: &str = "find . -type f -not -path '*/.*' -not -path '*/node_modules/*' \
                     -not -path '*/target/*' -not -path '*/__pycache__/*' | sort | head -n 400";

pub(in crate::demo) async fn explain_repository(narrator: &mut Narrator) -> Result<(), Stopped> {
    let mut folder = ".";
    let mut files = narrator.bash(FILES).await?;
    if files.text.trim().is_empty() {
        let text = "The workspace is empty, and this demo clones nothing. So I put \
                    a small sample repository into `sample-repo` and explain that one.";
        narrator.say(text).await?;
        for (path, content) in SAMPLE {
            if !put(narrator, path, content).await? {
                return Ok(());
            }
        }
        folder = "sample-repo";
        files = narrator.bash(format!("cd {folder} && {FILES}")).await?;
    }
    let paths: Vec<&str> = files.text.lines().map(|line| line.trim_start_matches("./")).collect();
    let lines = narrator
        .bash(format!("cd {folder} && {FILES} | tr '\\n' '\\0' | xargs -0 cat 2>/dev/null | wc -l"))
        .await?;
    narrator.say(&overview(&paths, lines.text.trim())).await?;

    if let Some(readme) = paths.iter().find(|path| path.to_lowercase().starts_with("readme")) {
        let read = narrator.call(ToolCall::Read { path: format!("{folder}/{readme}") }).await?;
        if let Some(text) = introduction(&read.text) {
            narrator.say(&format!("Its own words, from {}:\n\n> {text}", code(readme))).await?;
        }
    }
    if let Some(log) = history(narrator, folder).await? {
        narrator.say(&format!("The last commits:\n\n{}", quoted(&log.text))).await?;
    }
    tests(narrator, folder, &paths).await
}

fn overview(paths: &[&str], lines: &str) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or_default();
        let kind =
            name.rsplit_once('.').map_or("no ending".to_owned(), |(_, end)| format!(".{end}"));
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, number)) => *number += 1,
            None => kinds.push((kind, 1)),
        }
    }
    kinds.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let kinds: String =
        kinds.iter().take(8).map(|(kind, number)| format!("| `{kind}` | {number} |\n")).collect();
    let shown = paths.iter().take(25).copied().collect::<Vec<_>>().join("\n");
    let more = if paths.len() > 25 { "\n…" } else { "" };
    format!(
        "There are {} with {lines} lines.\n\n| kind | files |\n|---|---:|\n{}\n\n{}",
        count(paths.len(), "file"),
        kinds.trim_end(),
        fenced("text", &format!("{shown}{more}"))
    )
}

/// The first paragraph that is no heading.
fn introduction(text: &str) -> Option<String> {
    let paragraph = text.split("\n\n").find(|part| {
        let part = part.trim();
        !part.is_empty() && !part.starts_with(['#', '<', '[', '!', '`'])
    })?;
    let short: String = paragraph.trim().chars().take(600).collect();
    Some(short.replace('\n', "\n> "))
}

async fn history(narrator: &mut Narrator, folder: &str) -> Result<Option<Outcome>, Stopped> {
    let log = narrator
        .bash(format!("cd {folder} && test -d .git && git log --oneline -n 5 2>&1 || true"))
        .await?;
    Ok((log.is_ok() && !log.text.trim().is_empty()).then_some(log))
}

/// Runs the tests, where it is known how.
async fn tests(narrator: &mut Narrator, folder: &str, paths: &[&str]) -> Result<(), Stopped> {
    let python_tests = paths.iter().find_map(|path| {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        (name.starts_with("test_") && name.ends_with(".py")).then_some(folder)
    });
    let command = if let Some(tests) = python_tests
        && has(narrator, "python3").await?
    {
        format!("python3 -m unittest discover -v -s {}", shell_word(tests))
    } else if paths.contains(&"package.json") && has(narrator, "npm").await? {
        "npm test --silent".to_owned()
    } else if paths.contains(&"Makefile") && has(narrator, "make").await? {
        "make test".to_owned()
    } else {
        let text = "I found no tests that I know how to run here. (I know Python's `unittest`, \
                    `npm test` and `make test`.)";
        return narrator.say(text).await;
    };
    let outcome = narrator.bash(format!("cd {folder} && {command}")).await?;
    let output = if outcome.text.trim().is_empty() { &outcome.stderr } else { &outcome.text };
    let verdict = match &outcome.error {
        None => "**The tests pass.**".to_owned(),
        Some(error) => format!("**The tests do not pass** ({}).", error.to_lowercase()),
    };
    let text = format!("{verdict} {} said:\n\n{}", code(&command), quoted(output));
    narrator.say(&text).await
}
