//! What a repository tells.

use sandbox_sdk::types::{GitBranch, GitCommit, GitDiff, GitStatus};

use super::{
    Git, diff,
    log::{FORMAT, commits},
    pieces, refusal, revision, status, text, words,
};
use crate::sidecar::api::Problem;

/// Commits when nobody says how many, and the most.
const COMMITS: u32 = 50;
const MAX_COMMITS: u32 = 1000;

impl Git {
    pub(super) async fn status(&self) -> Result<GitStatus, Problem> {
        let said = self
            .ask(&[
                "--no-optional-locks",
                "status",
                "--porcelain=v2",
                "-z",
                "--branch",
                "--untracked-files=all",
                "--ignore-submodules=dirty",
            ])
            .await?;
        Ok(status::read(&said.stdout, said.truncated))
    }

    /// The last commits, the latest first. Before the first commit there are none.
    pub(super) async fn log(&self, limit: Option<u32>) -> Result<Vec<GitCommit>, Problem> {
        let limit = match limit {
            Some(0) => return Err(Problem::invalid("limit must be at least 1")),
            limit => limit.unwrap_or(COMMITS).min(MAX_COMMITS).to_string(),
        };
        let asked = ["log", "-z", "--no-patch", FORMAT, "-n", &limit, "HEAD", "--"];
        let said = self.run(&asked, super::PATIENCE).await?;
        if said.code == 0 {
            return Ok(commits(&said.stdout));
        }
        // A branch that nothing was committed to has no end to begin from.
        if words(&said).contains("bad revision 'HEAD'") && self.status().await?.head.is_empty() {
            return Ok(Vec::new());
        }
        Err(refusal(&said))
    }

    /// What the files are different in: from what is staged, or from a revision.
    pub(super) async fn diff(&self, from: Option<&str>) -> Result<GitDiff, Problem> {
        let from = from.filter(|from| !from.is_empty()).map(revision).transpose()?;
        let asked = |how: &[&'static str]| {
            let mut words = vec![
                "--no-optional-locks",
                "diff",
                "--no-ext-diff",
                "--no-textconv",
                "--no-relative",
                "--find-renames",
                "--ignore-submodules=dirty",
                "--submodule=short",
                "--src-prefix=a/",
                "--dst-prefix=b/",
            ];
            words.extend_from_slice(how);
            words.extend(from);
            words.push("--");
            words
        };
        let counted = self.ask(&asked(&["--raw", "--numstat", "-z"])).await?;
        let patch = self.ask(&asked(&["--patch"])).await?;
        Ok(GitDiff {
            raw: text(&patch.stdout),
            truncated: counted.truncated || patch.truncated,
            ..diff::read(&counted.stdout)
        })
    }

    pub(super) async fn branches(&self) -> Result<Vec<GitBranch>, Problem> {
        const FORMAT: &str = "--format=%(refname:lstrip=2)%00%(HEAD)%00%(upstream:short)%00\
                              %(objectname)%00";
        let said = self.ask(&["for-each-ref", "--count=5000", FORMAT, "refs/heads"]).await?;
        Ok(branches(&said.stdout))
    }
}

fn branches(bytes: &[u8]) -> Vec<GitBranch> {
    let fields: Vec<&[u8]> = pieces(bytes).collect();
    let branches = fields.chunks_exact(4).filter_map(|fields| {
        let [name, head, upstream, commit] = fields else { return None };
        Some(GitBranch {
            // Each but the first stands in a line of its own.
            name: text(name.strip_prefix(b"\n").unwrap_or(name)),
            current: head.first() == Some(&b'*'),
            upstream: Some(text(upstream)).filter(|upstream| !upstream.is_empty()),
            commit: text(commit),
        })
    });
    branches.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_say_which_is_current_and_what_they_follow() {
        let found = branches(b"main\0*\0origin/main\0aa11\0\nfeature/x\0 \0\0bb22\0\ncut\0");
        let branch = |name: &str, current, upstream: Option<&str>, commit: &str| GitBranch {
            name: name.into(),
            current,
            upstream: upstream.map(Into::into),
            commit: commit.into(),
        };
        let expected = [
            branch("main", true, Some("origin/main"), "aa11"),
            branch("feature/x", false, None, "bb22"),
        ];
        assert_eq!(found, expected);
    }
}
