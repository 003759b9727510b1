//! Which tools of which versions sandboxes have: this machine's own, which they see read-only.
//! Nothing is installed for them.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::sidecar;

/// Tools by the names they are asked for by, the program that tells the version, and how.
const KNOWN: &[(&str, &str, &str)] = &[
    ("bun", "bun", "--version"),
    ("deno", "deno", "--version"),
    ("git", "git", "--version"),
    ("go", "go", "version"),
    ("golang", "go", "version"),
    ("java", "java", "--version"),
    ("node", "node", "--version"),
    ("nodejs", "node", "--version"),
    ("npm", "npm", "--version"),
    ("php", "php", "--version"),
    ("python", "python3", "--version"),
    ("ruby", "ruby", "--version"),
    ("rust", "rustc", "--version"),
];
/// Versions that every version is.
const ANY: [&str; 5] = ["", "*", "latest", "lts", "system"];
const PATIENCE: Duration = Duration::from_secs(10);

/// The tool's version, if it is there in the version that is asked for: `22` is every `22.x`.
///
/// # Errors
/// In words, what is there instead.
pub(crate) async fn check(tool: &str, version: &str) -> Result<String, String> {
    let shown: String = tool.chars().take(64).collect();
    let Some((_, program, flag)) = KNOWN.iter().find(|(name, ..)| *name == tool) else {
        return Err(format!("Nothing is installed into a sandbox, and {shown:?} is not known."));
    };
    let wanted: String = version.chars().take(64).collect();
    match present(program, flag).await {
        None => Err(format!("Nothing is installed into a sandbox, and {shown} is not there.")),
        Some(present) if is_version(&wanted, &present) => Ok(present),
        Some(present) => Err(format!(
            "Nothing is installed into a sandbox: {shown} is there as {present}, not as {wanted:?}."
        )),
    }
}

/// What the program that sandboxes see says of its version.
async fn present(program: &str, flag: &str) -> Option<String> {
    let places = sidecar::PATH.split(':').map(|folder| PathBuf::from(folder).join(program));
    let path = places.into_iter().find(|path| path.is_file())?;
    let mut command = Command::new(path);
    command.arg(flag).env_clear().env("PATH", sidecar::PATH);
    command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

/// The first number with its parts: `3.13.5` of `Python 3.13.5`.
fn version_in(said: &str) -> Option<String> {
    let begin = said.find(|c: char| c.is_ascii_digit())?;
    let rest = said.get(begin..)?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let version = rest.get(..end)?.trim_end_matches('.');
    (version.len() <= 32).then(|| version.to_owned())
}

fn is_version(wanted: &str, present: &str) -> bool {
    let wanted = wanted.trim();
    if ANY.contains(&wanted) {
        return true;
    }
    let mut present = present.split('.');
    wanted.trim_start_matches('v').split('.').all(|part| present.next() == Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (said, version) in [
            ("Python 3.13.5\n", "3.13.5"),
            ("v22.1.0\n", "22.1.0"),
            ("go version go1.22.2 linux/amd64", "1.22.2"),
            ("openjdk 21.0.4 2024-07-16", "21.0.4"),
            ("rustc 1.95.0 (abc 2026-01-01)", "1.95.0"),
        ] {
            assert_eq!(version_in(said).as_deref(), Some(version));
        }
        assert_eq!(version_in("no such thing"), None);
    }

    #[test]
    fn a_version_is_asked_for_with_as_many_of_its_parts_as_matter() {
        for wanted in ["22", "22.1", "v22.1.0", "latest", "lts", "*", ""] {
            assert!(is_version(wanted, "22.1.0"), "{wanted}");
        }
        for wanted in ["2", "22.10", "22.1.0.1", "^22", "23"] {
            assert!(!is_version(wanted, "22.1.0"), "{wanted}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_in_words() {
        assert!(check("fortran", "77").await.unwrap_err().contains("fortran"));
        assert!(check("git/../../tmp/evil", "1").await.unwrap_err().contains("not known"));
        if let Ok(version) = check("python", "latest").await {
            assert!(check("python", "1").await.unwrap_err().contains(&version));
        }
    }
}
