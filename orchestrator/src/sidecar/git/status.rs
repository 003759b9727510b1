//! What `git status --porcelain=v2 -z --branch` says.

use sandbox_sdk::types::GitStatus;

use super::{pieces, text};

/// Where the work stands. What makes no sense is passed over.
pub(super) fn read(bytes: &[u8], truncated: bool) -> GitStatus {
    let mut status = GitStatus { truncated, ..GitStatus::default() };
    let mut pieces = pieces(bytes);
    while let Some(piece) = pieces.next() {
        match piece {
            [b'#', b' ', line @ ..] => header(&mut status, &text(line)),
            [b'1', b' ', x, y, b' ', rest @ ..] => entry(&mut status, *x, *y, field(rest, 6)),
            [b'2', b' ', x, y, b' ', rest @ ..] => {
                // Where it came from.
                pieces.next();
                entry(&mut status, *x, *y, field(rest, 7));
            }
            // Both sides have changed it.
            [b'u', b' ', _, _, b' ', rest @ ..] => entry(&mut status, b'.', b'U', field(rest, 8)),
            [b'?', b' ', path @ ..] => status.untracked.push(text(path)),
            _ => {}
        }
    }
    status.is_dirty = truncated
        || !(status.staged.is_empty() && status.modified.is_empty() && status.untracked.is_empty());
    status
}

fn header(status: &mut GitStatus, line: &str) {
    match line.split_once(' ') {
        Some(("branch.oid", "(initial)")) => status.head.clear(),
        Some(("branch.oid", head)) => head.clone_into(&mut status.head),
        Some(("branch.head", "(detached)")) => "HEAD".clone_into(&mut status.branch),
        Some(("branch.head", branch)) => branch.clone_into(&mut status.branch),
        Some(("branch.ab", counts)) => {
            let count = |sign: char| {
                counts.split(' ').find_map(|word| word.strip_prefix(sign)?.parse().ok())
            };
            status.ahead = count('+').unwrap_or(0);
            status.behind = count('-').unwrap_or(0);
        }
        _ => {}
    }
}

fn entry(status: &mut GitStatus, staged: u8, modified: u8, path: Option<&[u8]>) {
    let Some(path) = path.map(text) else { return };
    if modified != b'.' {
        status.modified.push(path.clone());
    }
    if staged != b'.' {
        status.staged.push(path);
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
        let status = read(said.as_bytes(), false);
        assert_eq!((status.branch.as_str(), &status.head), ("main", &zero));
        assert_eq!((status.ahead, status.behind), (2, 3));
        assert_eq!(status.staged, ["a b.txt", "both", "new name"]);
        assert_eq!(status.modified, ["odd\nname", "both", "conflict"]);
        assert_eq!(status.untracked, ["new file"]);
        assert!(status.is_dirty);
    }

    #[test]
    fn a_repository_without_commits_has_a_branch_and_no_head() {
        let status = read(b"# branch.oid (initial)\0# branch.head main\0", false);
        let expected = GitStatus { branch: "main".into(), ..GitStatus::default() };
        assert_eq!(status, expected);
        let detached = read(b"# branch.oid 12ab\0# branch.head (detached)\0", false);
        assert_eq!((detached.branch.as_str(), detached.head.as_str()), ("HEAD", "12ab"));
    }

    proptest! {
        #[test]
        fn nothing_that_git_could_say_breaks_it(
            bytes in prop::collection::vec(prop::sample::select(&b"12u?#! .MAR\0\nab\xff"[..]), 0..80),
        ) {
            let status = read(&bytes, false);
            let told = status.staged.len() + status.modified.len() + status.untracked.len();
            prop_assert_eq!(status.is_dirty, told > 0);
        }

        #[test]
        fn every_untracked_name_is_told(names in prop::collection::vec("[^\0]{1,12}", 0..8)) {
            let said: String = names.iter().map(|name| format!("? {name}\0")).collect();
            prop_assert_eq!(read(said.as_bytes(), false).untracked, names);
        }
    }
}
