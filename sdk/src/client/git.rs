//! Version control in a sandbox, through its own `git`.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Error, SandboxHandle, answer::decode, http::Call};
use crate::types::{GitBranch, GitCommit, GitDiff, GitStatus};

/// Longest time of what may ask another machine, and some more, so that the sandbox's own verdict
/// arrives.
const FAR_PATIENCE: Duration = Duration::from_secs(130);

/// See [`SandboxHandle::git`]. All calls fail with 409 where there is no repository, and where git
/// itself refuses; the message has its words.
#[derive(Clone, Debug)]
pub struct Git<'a> {
    sandbox: &'a SandboxHandle,
    folder: Option<String>,
}

#[derive(Deserialize)]
struct Commits {
    commits: Vec<GitCommit>,
}

#[derive(Deserialize)]
struct Branches {
    branches: Vec<GitBranch>,
}

impl SandboxHandle {
    /// Version control in the workspace.
    pub fn git(&self) -> Git<'_> {
        Git { sandbox: self, folder: None }
    }
}

impl Git<'_> {
    /// The same in another folder: absolute, or relative to the workspace.
    #[must_use]
    pub fn in_folder(self, folder: impl Into<String>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Branch, and which files have changed.
    ///
    /// # Errors
    /// As all calls.
    pub async fn status(&self) -> Result<GitStatus, Error> {
        let call = self.ask("/git/status")?;
        decode(&self.sandbox.client.send(call).await?, "the state of a repository")
    }

    /// The last commits, the latest first: 50 without a limit, 1000 at most. Before the first commit
    /// there are none.
    ///
    /// # Errors
    /// As all calls.
    pub async fn log(&self, limit: Option<u32>) -> Result<Vec<GitCommit>, Error> {
        let mut call = self.ask("/git/log")?;
        if let Some(limit) = limit {
            call = call.query("limit", limit);
        }
        let log: Commits = decode(&self.sandbox.client.send(call).await?, "a list of commits")?;
        Ok(log.commits)
    }

    /// What the files are different in: from what is staged, or from a revision.
    ///
    /// # Errors
    /// 400 for an unknown revision.
    pub async fn diff(&self, revision: Option<&str>) -> Result<GitDiff, Error> {
        let mut call = self.ask("/git/diff")?;
        if let Some(revision) = revision {
            call = call.query("ref", revision);
        }
        decode(&self.sandbox.client.send(call).await?, "what is different")
    }

    /// The branches of this repository.
    ///
    /// # Errors
    /// As all calls.
    pub async fn branches(&self) -> Result<Vec<GitBranch>, Error> {
        let call = self.ask("/git/branches")?;
        let all: Branches = decode(&self.sandbox.client.send(call).await?, "a list of branches")?;
        Ok(all.branches)
    }

    /// Stages files and folders.
    ///
    /// # Errors
    /// 400 for a path that is not there.
    pub async fn add(&self, paths: &[&str]) -> Result<(), Error> {
        // Twice is once.
        let call = self.change("/git/add", json!({"paths": paths}))?.repeatable(true);
        self.sandbox.client.send(call).await.map(drop)
    }

    /// Commits what is staged, in the name of whoever is configured there. Never repeated.
    ///
    /// # Errors
    /// 409 when nothing is staged; when it is unknown whether it was committed.
    pub async fn commit(&self, message: &str) -> Result<GitCommit, Error> {
        self.commit_as(message, false).await
    }

    /// Commits what is staged into the last commit. An empty message keeps the old one. Never repeated.
    ///
    /// # Errors
    /// As all calls; when it is unknown whether it was committed.
    pub async fn amend(&self, message: &str) -> Result<GitCommit, Error> {
        self.commit_as(message, true).await
    }

    /// Pushes to where the branch belongs. Takes two minutes at most. Never repeated.
    ///
    /// # Errors
    /// As all calls; when it is unknown whether it was pushed.
    pub async fn push(&self, force: bool) -> Result<(), Error> {
        let call = self.change("/git/push", json!({"force": force}))?.timeout(FAR_PATIENCE);
        self.sandbox.client.send(call).await.map(drop)
    }

    /// Pulls from where the branch belongs. Takes two minutes at most. Never repeated.
    ///
    /// # Errors
    /// As all calls; when it is unknown what was pulled.
    pub async fn pull(&self, rebase: bool) -> Result<(), Error> {
        let call = self.change("/git/pull", json!({"rebase": rebase}))?.timeout(FAR_PATIENCE);
        self.sandbox.client.send(call).await.map(drop)
    }

    /// Goes to a branch or another revision; `create`: to a new branch that begins here. Never repeated.
    ///
    /// # Errors
    /// 400 for an unknown revision.
    pub async fn checkout(&self, revision: &str, create: bool) -> Result<(), Error> {
        let call = self.change("/git/checkout", json!({"ref": revision, "create": create}))?;
        self.sandbox.client.send(call).await.map(drop)
    }

    async fn commit_as(&self, message: &str, amend: bool) -> Result<GitCommit, Error> {
        let call = self.change("/git/commit", json!({"message": message, "amend": amend}))?;
        decode(&self.sandbox.client.send(call).await?, "a commit")
    }

    fn ask(&self, path: &str) -> Result<Call<'_>, Error> {
        let call = self.sandbox.call(Method::GET, path)?;
        Ok(match &self.folder {
            Some(folder) => call.query("cwd", folder),
            None => call,
        })
    }

    fn change(&self, path: &str, mut body: serde_json::Value) -> Result<Call<'_>, Error> {
        if let Some(folder) = &self.folder {
            body["cwd"] = folder.as_str().into();
        }
        self.sandbox.call(Method::POST, path)?.json(&body)
    }
}
