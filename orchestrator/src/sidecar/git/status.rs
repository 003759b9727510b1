//! What `git status --porcelain=v2 -z --branch` says.

use serde::Serialize;

use super::{pieces, text};

/// Where the work stands.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// `HEAD` when no branch is checked out.
    pub(super) branch: String,
    /// The commit that is checked out; empty before the first.
    pub(super) head: String,
    pub(super) is_dirty: bool,
    /// Commits that the upstream does not have, and that only it has.
    pub(super) ahead: u64,
    pub(super) behind: u64,
    pub(super) staged: Vec<String>,
    pub(super) modified: Vec<String>,
    pub(super) untracked: Vec<String>,
    /// There are more files.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) truncated: bool,
}

impl Status {
    /// What makes no sense is passed over.
    pub(super) fn read(bytes: &[u8], truncated: bool) -> Self {
        let mut status = Self { truncated, ..Self::default() };
        let mut pieces = pieces(bytes);
        while let Some(piece) = pieces.next() {
            match piece {
                [b'#', b' ', header @ ..] => status.header(&text(header)),
                [b'1', b' ', x, y, b' ', rest @ ..] => status.entry(*x, *y, field(rest, 6)),
                [b'2', b' ', x, y, b' ', rest @ ..] => {
                    // Where it came from.
                    pieces.next();
                    status.entry(*x, *y, field(rest, 7));
                }
                // Both sides have changed it.
                [b'u', b' ', _, _, b' ', rest @ ..] => status.entry(b'.', b'U', field(rest, 8)),
                [b'?', b' ', path @ ..] => status.untracked.push(text(path)),
                _ => {}
            }
        }
        status.is_dirty = truncated
            || !(status.staged.is_empty()
                && status.modified.is_empty()
                && status.untracked.is_empty());
        status
    }

    fn header(&mut self, header: &str) {
        match header.split_once(' ') {
            Some(("branch.oid", "(initial)")) => self.head.clear(),
            Some(("branch.oid", head)) => head.clone_into(&mut self.head),
            Some(("branch.head", "(detached)")) => "HEAD".clone_into(&mut self.branch),
            Some(("branch.head", branch)) => branch.clone_into(&mut self.branch),
            Some(("branch.ab", counts)) => {
                let count = |sign: char| {
                    counts.split(' ').find_map(|word| word.strip_prefix(sign)?.parse().ok())
                };
                self.ahead = count('+').unwrap_or(0);
                self.behind = count('-').unwrap_or(0);
            }
            _ => {}
        }
    }

    fn entry(&mut self, staged: u8, modified: u8, path: Option<&[u8]>) {
        let Some(path) = path.map(text) else { return };
        if modified != b'.' {
            self.modified.push(path.clone());
        }
        if staged != b'.' {
            self.staged.push(path);
        }
    }
}

/// The path, which is the last field and may hold spaces: what comes after so many others.
fn field(rest: &[u8], others: usize) -> Option<&[u8]> {
    rest.splitn(others + 1, |byte| *byte == b' ').nth(others).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn staged_modified_moved_and_odd_names_are_told_apart() {
        let zero = "0".repeat(40);
        let said = [
            format!("# branch.oid {zero}"),
            "# branch.head main".into(),
            "# branch.upstream origin/main".into(),
            "# branch.ab +2 -3".into(),
            format!("1 M. N... 100644 100644 100644 {zero} {zero} a b.txt"),
            format!("1 .M N... 100644 100644 100644 {zero} {zero} odd\nname"),
            format!("1 AM N... 000000 100644 100644 {zero} {zero} both"),
            format!("2 R. N... 100644 100644 100644 {zero} {zero} R100 new name"),
            "old name".into(),
            format!("u UU N... 100644 100644 100644 100644 {zero} {zero} {zero} conflict"),
            "? new file".into(),
            "! ignored".into(),
        ];
        let said = said.join("\0") + "\0";
        let status = Status::read(said.as_bytes(), false);
        assert_eq!((status.branch.as_str(), &status.head), ("main", &zero));
        assert_eq!((status.ahead, status.behind), (2, 3));
        assert_eq!(status.staged, ["a b.txt", "both", "new name"]);
        assert_eq!(status.modified, ["odd\nname", "both", "conflict"]);
        assert_eq!(status.untracked, ["new file"]);
        assert!(status.is_dirty);
    }

    #[test]
    fn a_repository_without_commits_has_a_branch_and_no_head() {
        let status = Status::read(b"# branch.oid (initial)\0# branch.head main\0", false);
        let expected = Status { branch: "main".into(), ..Status::default() };
        assert_eq!(status, expected);
        let detached = Status::read(b"# branch.oid 12ab\0# branch.head (detached)\0", false);
        assert_eq!((detached.branch.as_str(), detached.head.as_str()), ("HEAD", "12ab"));
    }

    proptest! {
        #[test]
        fn nothing_that_git_could_say_breaks_it(
            bytes in prop::collection::vec(prop::sample::select(&b"12u?#! .MAR\0\nab\xff"[..]), 0..80),
        ) {
            let status = Status::read(&bytes, false);
            let told = status.staged.len() + status.modified.len() + status.untracked.len();
            prop_assert_eq!(status.is_dirty, told > 0);
        }

        #[test]
        fn every_untracked_name_is_told(names in prop::collection::vec("[^\0]{1,12}", 0..8)) {
            let said: String = names.iter().map(|name| format!("? {name}\0")).collect();
            prop_assert_eq!(Status::read(said.as_bytes(), false).untracked, names);
        }
    }
}
