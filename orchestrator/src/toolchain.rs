//! Which tools of which versions sandboxes have: this machine's own, which they see read-only, and
//! those of its image in a container. Nothing is installed for them.

pub(crate) mod inside;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{process::Command, sync::Mutex, time::timeout};

use crate::sidecar;

/// Tools by the names they are asked for by, the program that tells the version, and how.
const KNOWN: &[(&str, &str, &str)] = &[
    ("bash", "bash", "--version"),
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

static SAID: Said = Said::new(Duration::from_secs(60));

/// What programs said of their versions. They run outside of every sandbox's limits, so that one is
/// asked at a time, and not again for a while.
struct Said {
    good_for: Duration,
    by_program: Mutex<BTreeMap<&'static str, (Instant, Option<String>)>>,
}

impl Said {
    const fn new(good_for: Duration) -> Self {
        Self { good_for, by_program: Mutex::const_new(BTreeMap::new()) }
    }

    /// The program's version as it is known, or as it is told now.
    async fn version(
        &self,
        program: &'static str,
        told: impl Future<Output = Option<String>>,
    ) -> Option<String> {
        let mut known = self.by_program.lock().await;
        if let Some((at, version)) = known.get(program)
            && at.elapsed() < self.good_for
        {
            return version.clone();
        }
        let version = told.await;
        known.insert(program, (Instant::now(), version.clone()));
        version
    }
}

/// The tool's version on this machine, if it is there in the version that is asked for: `22` is every
/// `22.x`.
///
/// # Errors
/// In words, what is there instead.
pub(crate) async fn check(tool: &str, version: &str) -> Result<String, String> {
    let (program, flag) = known(tool)?;
    fitting(tool, version, SAID.version(program, present(program, flag)).await)
}

/// The same, where these tools are there.
///
/// # Errors
/// In words, what is there instead.
pub(crate) fn check_among(tools: &[Tool], tool: &str, version: &str) -> Result<String, String> {
    let (wanted, _) = known(tool)?;
    let there = tools.iter().find(|there| program(there.name) == Some(wanted));
    fitting(tool, version, there.map(|there| there.version.clone()))
}

fn known(tool: &str) -> Result<(&'static str, &'static str), String> {
    let found = KNOWN.iter().find(|(name, ..)| *name == tool);
    let &(_, program, flag) = found.ok_or_else(|| {
        let shown: String = tool.chars().take(64).collect();
        format!("Nothing is installed into a sandbox, and {shown:?} is not known.")
    })?;
    Ok((program, flag))
}

fn fitting(tool: &str, version: &str, present: Option<String>) -> Result<String, String> {
    let wanted: String = version.chars().take(64).collect();
    match present {
        None => Err(format!("Nothing is installed into a sandbox, and {tool} is not there.")),
        Some(present) if is_version(&wanted, &present) => Ok(present),
        Some(present) => Err(format!(
            "Nothing is installed into a sandbox: {tool} is there as {present}, not as {wanted:?}."
        )),
    }
}

/// A tool that sandboxes have.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// All known tools of this machine, each under one of its names.
pub(crate) async fn list() -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    let mut listed = BTreeSet::new();
    for &(name, program, flag) in KNOWN {
        if let Some(path) = place(program)
            && listed.insert(program)
            && let Some(version) = SAID.version(program, present(program, flag)).await
        {
            tools.push(Tool { name, version, path });
        }
    }
    tools
}

/// The program behind a tool's name, where the tool is known.
fn program(tool: &str) -> Option<&'static str> {
    known(tool).ok().map(|(program, _)| program)
}

/// The same inside a sandbox, where it stands in one of the folders of a `PATH`.
///
/// # Errors
/// In words, that it does not.
pub(crate) fn runnable(tool: &str, path: &str) -> Result<&'static str, String> {
    let (program, _) = known(tool)?;
    let there = place_in(path, program).map(|_| program);
    there.ok_or_else(|| format!("Nothing is installed into a sandbox, and {tool} is not there."))
}

/// Where sandboxes see a program.
fn place(program: &str) -> Option<PathBuf> {
    place_in(sidecar::PATH, program)
}

fn place_in(path: &str, program: &str) -> Option<PathBuf> {
    let mut places = path.split(':').map(|folder| PathBuf::from(folder).join(program));
    places.find(|path| path.is_file())
}

/// What the program that sandboxes see says of its version.
async fn present(program: &str, flag: &str) -> Option<String> {
    let path = place(program)?;
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
    use std::sync::atomic::{AtomicUsize, Ordering};

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
    async fn what_is_listed_is_there_and_listed_once() {
        let tools = list().await;
        for tool in &tools {
            assert_eq!(check(tool.name, &tool.version).await.as_ref(), Ok(&tool.version));
            assert!(tool.path.is_file(), "{tool:?}");
            assert_eq!(tools.iter().filter(|other| other.path == tool.path).count(), 1, "{tool:?}");
        }
        assert_eq!(program("nodejs"), Some("node"));
        assert_eq!(program("fortran"), None);
        assert!(tools.iter().all(|tool| runnable(tool.name, sidecar::PATH).is_ok()));
        assert!(runnable("printf", sidecar::PATH).unwrap_err().contains("not known"));
        assert!(runnable("git", "/none").unwrap_err().contains("not there"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_in_words() {
        assert!(check("fortran", "77").await.unwrap_err().contains("fortran"));
        assert!(check("git/../../tmp/evil", "1").await.unwrap_err().contains("not known"));
        let node = Tool { name: "node", version: "22.1.0".to_owned(), path: "/bin/node".into() };
        let there = [node];
        assert_eq!(check_among(&there, "nodejs", "22"), Ok("22.1.0".to_owned()));
        assert!(check_among(&there, "node", "20").unwrap_err().contains("22.1.0"));
        assert!(check_among(&there, "git", "").unwrap_err().contains("not there"));
        if let Ok(version) = check("python", "latest").await {
            assert!(check("python", "1").await.unwrap_err().contains(&version));
        }
        assert!(SAID.by_program.lock().await.contains_key("python3"), "it need not be asked again");
    }

    #[tokio::test]
    async fn however_many_want_to_know_one_program_is_asked_at_a_time_and_once_in_a_while() {
        let (asked, under_way) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let tell = async || {
            assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0);
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            under_way.fetch_sub(1, Ordering::SeqCst);
            Some("22.1.0".to_owned())
        };
        let said = Said::new(Duration::from_secs(3600));
        let all = (0..8).map(|n| said.version(["node", "npm"][n % 2], tell()));
        let all = futures::future::join_all(all).await;
        assert!(all.iter().all(|version| version.as_deref() == Some("22.1.0")));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let said = Said::new(Duration::ZERO);
        for _ in 0..2 {
            said.version("node", tell()).await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), 4, "it may be another one by now");
    }
}
