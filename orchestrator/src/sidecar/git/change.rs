//! What changes a repository.

use sandbox_sdk::types::{ErrorCode, GitCommit};

use super::{
    FAR_PATIENCE, Git,
    log::{FORMAT, commits},
    refusal, revision,
};
use crate::sidecar::api::Problem;

/// Longest path, in bytes, and the most of them.
const MAX_PATH: usize = 4096;
const MAX_PATHS: usize = 1000;
/// Longest message of a commit, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// Who commits when nobody is configured.
const NAME: &str = "user.name=Agent";
const EMAIL: &str = "user.email=agent@localhost";

impl Git {
    pub(super) async fn add(&self, paths: &[String]) -> Result<(), Problem> {
        if paths.is_empty() || paths.len() > MAX_PATHS {
            return Err(Problem::invalid(format!("paths must be 1 to {MAX_PATHS} paths")));
        }
        let bad = |path: &String| path.is_empty() || path.len() > MAX_PATH || path.contains('\0');
        if paths.iter().any(bad) {
            return Err(Problem::invalid("one of the paths is empty, too long or no path"));
        }
        let mut words = vec!["add", "--"];
        words.extend(paths.iter().map(String::as_str));
        self.ask(&words).await.map(drop)
    }

    /// Commits what is staged, in the name of whoever is configured. An empty message keeps the old
    /// one of a commit that is amended.
    pub(super) async fn commit(&self, message: &str, amend: bool) -> Result<GitCommit, Problem> {
        if message.len() > MAX_MESSAGE || message.contains('\0') {
            return Err(Problem::invalid("message is too long or holds a zero byte"));
        }
        let kept = message.trim().is_empty();
        if kept && !amend {
            return Err(Problem::invalid("message must not be empty"));
        }
        let said = format!("--message={message}");
        let mut words = self.identity().await?;
        words.push("commit");
        words.push(if kept { "--no-edit" } else { said.as_str() });
        if amend {
            words.push("--amend");
        }
        self.ask(&words).await?;
        let made = self.ask(&["log", "-z", "--no-patch", FORMAT, "-n", "1", "HEAD", "--"]).await?;
        let nothing = || Problem::new(ErrorCode::Server, "git does not tell what it committed");
        commits(&made.stdout).pop().ok_or_else(nothing)
    }

    pub(super) async fn push(&self, force: bool) -> Result<(), Problem> {
        let mut words = vec!["-c", "push.autoSetupRemote=true", "push"];
        if force {
            words.push("--force");
        }
        self.far(&words).await
    }

    pub(super) async fn pull(&self, rebase: bool) -> Result<(), Problem> {
        let mut words = self.identity().await?;
        words.extend(["pull", "--no-edit", if rebase { "--rebase" } else { "--no-rebase" }]);
        self.far(&words).await
    }

    /// Checks out a branch or another revision; `create`: a new branch from here.
    pub(super) async fn checkout(&self, to: &str, create: bool) -> Result<(), Problem> {
        let to = revision(to)?;
        // Never a file of that name, whose changes would be lost.
        let words =
            if create { vec!["checkout", "-b", to, "--"] } else { vec!["checkout", to, "--"] };
        self.ask(&words).await.map(drop)
    }

    async fn far(&self, words: &[&str]) -> Result<(), Problem> {
        let ended = self.run(words, FAR_PATIENCE).await?;
        if ended.code == 0 { Ok(()) } else { Err(refusal(&ended)) }
    }

    /// Options that name somebody where nobody is configured.
    async fn identity(&self) -> Result<Vec<&'static str>, Problem> {
        let asked = ["config", "--name-only", "--get-regexp", r"^user\.(name|email)$"];
        let known = self.run(&asked, super::PATIENCE).await?;
        let known = String::from_utf8_lossy(&known.stdout);
        let is_known = |name: &str| known.lines().any(|line| line == name);
        let mut words = Vec::new();
        for (name, value) in [("user.name", NAME), ("user.email", EMAIL)] {
            if !is_known(name) {
                words.extend(["-c", value]);
            }
        }
        Ok(words)
    }
}
