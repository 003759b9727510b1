//! What is asked to be run, and what of it makes sense.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sandbox_sdk::types::{ErrorCode, Exec};

use super::super::{WORKSPACE, api::Problem, is_variable_name};
use crate::memory_file::memory_file;

/// Of a command that brings none.
pub(in crate::sidecar) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// A longer one is cut to it.
pub(in crate::sidecar) const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// The kernel takes no longer argument, and no longer variable.
const MAX_WORD: usize = 128 * 1024 - 1;
/// Bytes of arguments and environment together; the kernel takes somewhat more.
const MAX_WORDS: usize = 1 << 20;
/// Each takes room beside its bytes.
const MAX_COUNT: usize = 16 * 1024;
/// Bytes of a command for the shell.
const MAX_SCRIPT: usize = 4 << 20;
/// Reads a command that is too long to be an argument, and runs none that did not come whole. What
/// it runs has nothing to read, as ever.
const FROM_INPUT: &str =
    r#"__command=$(cat) || exit; eval "unset __command; $__command" < /dev/null"#;

/// A program with its arguments, exactly as they are.
#[derive(Clone, Debug, Default)]
pub(in crate::sidecar) struct Program {
    /// The program first: a path, or a name that is looked for.
    pub(in crate::sidecar) words: Vec<String>,
    /// Absolute, or relative to the workspace, which it is by default.
    pub(in crate::sidecar) cwd: Option<String>,
    /// Added to the environment.
    pub(in crate::sidecar) env: BTreeMap<String, String>,
    /// Milliseconds.
    pub(in crate::sidecar) timeout: Option<u64>,
    /// What it reads, from the beginning; nothing, if none.
    pub(in crate::sidecar) input: Option<Arc<File>>,
}

impl Program {
    /// A command for the sandbox's shell.
    pub(super) fn of_shell(exec: Exec) -> Result<Self, Problem> {
        if exec.command.trim().is_empty() {
            return Err(Problem::invalid("command must not be empty"));
        }
        if exec.command.contains('\0') {
            return Err(Problem::invalid("command must not hold a zero byte"));
        }
        if exec.command.len() > MAX_SCRIPT {
            let words = format!("a command has at most {} MB here", MAX_SCRIPT >> 20);
            return Err(Problem::new(ErrorCode::TooLarge, words));
        }
        let (script, input) = if exec.command.len() > MAX_WORD {
            let input = memory_file(exec.command.as_bytes()).map_err(|error| {
                let words = format!("the command cannot be kept: {error}");
                Problem::new(ErrorCode::Unavailable, words)
            })?;
            (FROM_INPUT.to_owned(), Some(Arc::new(input)))
        } else {
            (exec.command, None)
        };
        Ok(Self {
            words: vec![shell().to_owned(), "-c".to_owned(), script],
            cwd: exec.cwd,
            env: exec.env,
            timeout: exec.timeout,
            input,
        })
    }

    /// Where it runs, and how long it may.
    pub(super) fn check(&self) -> Result<(PathBuf, Duration), Problem> {
        let limit = match self.timeout {
            None => DEFAULT_TIMEOUT,
            Some(0) => return Err(Problem::invalid("timeout must be at least 1 millisecond")),
            Some(millis) => Duration::from_millis(millis).min(MAX_TIMEOUT),
        };
        if self.words.iter().any(|word| word.len() > MAX_WORD || word.contains('\0')) {
            return Err(Problem::invalid("an argument is too long or holds a zero byte"));
        }
        let valid = |(name, value): &(&String, &String)| {
            is_variable_name(name) && !value.contains('\0') && name.len() + value.len() < MAX_WORD
        };
        if let Some((name, _)) = self.env.iter().find(|variable| !valid(variable)) {
            let name: String = name.chars().take(64).collect();
            return Err(Problem::invalid(format!("env has no valid variable {name:?}")));
        }
        let variables = self.env.iter().map(|(name, value)| name.len() + value.len() + 2);
        let bytes = self.words.iter().map(|word| word.len() + 1).chain(variables).sum::<usize>();
        if bytes > MAX_WORDS || self.words.len() + self.env.len() > MAX_COUNT {
            return Err(Problem::invalid("there are too many arguments or variables"));
        }
        Ok((working_folder(self.cwd.as_deref())?, limit))
    }
}

pub(in crate::sidecar) fn shell() -> &'static str {
    if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }
}

fn working_folder(wanted: Option<&str>) -> Result<PathBuf, Problem> {
    let path = Path::new(WORKSPACE).join(wanted.unwrap_or_default());
    if path.as_os_str().as_encoded_bytes().contains(&0) || !path.is_dir() {
        let shown: String = path.to_string_lossy().chars().take(256).collect();
        return Err(Problem::invalid(format!("cwd {shown} is not a folder")));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Program {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Program { words, cwd: Some("/".into()), ..Program::default() }
    }

    #[test]
    fn what_no_kernel_takes_is_refused_in_words() {
        let many = Program { words: vec!["x".into(); MAX_COUNT + 1], ..words(&[]) };
        let full = Program { words: vec!["x".repeat(100_000); 11], ..words(&[]) };
        let env = |name: &str, value: &str| Program {
            env: [(name.to_owned(), value.to_owned())].into(),
            ..words(&["true"])
        };
        for program in [
            words(&["echo", "a\0b"]),
            words(&["echo", &"x".repeat(MAX_WORD + 1)]),
            many,
            full,
            env("A=B", ""),
            env("A", "a\0b"),
            env("A", &"x".repeat(MAX_WORD)),
            Program { timeout: Some(0), ..words(&["true"]) },
            Program { cwd: Some("/a\0b".into()), ..words(&["true"]) },
            Program { cwd: Some("/none such".into()), ..words(&["true"]) },
        ] {
            assert!(program.check().is_err());
        }
        assert!(env("A", "b=c\nd").check().is_ok());
    }

    #[test]
    fn no_timeout_is_longer_than_the_longest() {
        let limit = |timeout| Program { timeout, ..words(&["true"]) }.check().unwrap().1;
        assert_eq!(limit(None), DEFAULT_TIMEOUT);
        assert_eq!(limit(Some(1)), Duration::from_millis(1));
        assert_eq!(limit(Some(u64::MAX)), MAX_TIMEOUT);
    }
}
