//! Commits, as `git log -z` tells them.

use sandbox_sdk::types::GitCommit;

use super::{pieces, text};

/// The fields of a [`GitCommit`], each ended by a zero byte.
pub(super) const FORMAT: &str = "--format=%H%x00%h%x00%an%x00%ae%x00%aI%x00%B";
const FIELDS: usize = 6;

/// Commits in the order they came. One that is cut off is left out.
pub(super) fn commits(bytes: &[u8]) -> Vec<GitCommit> {
    let fields: Vec<&[u8]> = pieces(bytes).collect();
    let commits = fields.chunks_exact(FIELDS).filter_map(|fields| {
        let [sha, short_sha, author, email, date, message] = fields else { return None };
        Some(GitCommit {
            sha: text(sha),
            short_sha: text(short_sha),
            message: text(message).trim_end().to_owned(),
            author: text(author),
            email: text(email),
            date: text(date),
        })
    });
    commits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_may_have_many_lines_and_a_commit_that_is_cut_off_is_left_out() {
        let said = b"aa11\0aa\0Ann\0a@b\x002026-01-02T03:04:05Z\0first\n\nbody\n\0bb22\0bb\0\xff\0\0\0\0cc33\0cc";
        let told = commits(said);
        let [first, second] = &told[..] else { panic!("{told:?}") };
        assert_eq!((first.sha.as_str(), first.short_sha.as_str()), ("aa11", "aa"));
        assert_eq!(first.message, "first\n\nbody");
        assert_eq!(first.date, "2026-01-02T03:04:05Z");
        assert_eq!((second.author.as_str(), second.message.as_str()), ("\u{fffd}", ""));
        assert!(commits(b"").is_empty());
    }
}
