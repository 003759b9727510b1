//! What `git diff --raw --numstat -z` says.

use std::collections::HashMap;

use sandbox_sdk::types::{GitChangedFile, GitDiff};

use super::{pieces, text};

/// What is different. First come all files with what became of them, then all with their lines. What
/// makes no sense is passed over.
pub(super) fn read(bytes: &[u8]) -> GitDiff {
    let mut diff = GitDiff::default();
    let mut index: HashMap<&[u8], usize> = HashMap::new();
    let mut pieces = pieces(bytes);
    while let Some(piece) = pieces.next() {
        if let Some(raw) = piece.strip_prefix(b":") {
            let (status, moved) = status(raw);
            let first = pieces.next();
            // Of what was moved or copied the old name comes first.
            let Some(path) = (if moved { pieces.next() } else { first }) else { break };
            // One in conflict comes twice.
            index.entry(path).or_insert_with(|| {
                let (path, status) = (text(path), status.to_owned());
                diff.files.push(GitChangedFile { path, status, additions: 0, deletions: 0 });
                diff.files.len() - 1
            });
            continue;
        }
        let mut fields = piece.splitn(3, |byte| *byte == b'\t');
        let (Some(added), Some(deleted), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let path = if path.is_empty() { pieces.nth(1) } else { Some(path) };
        let (added, deleted) = (count(added), count(deleted));
        diff.additions = diff.additions.saturating_add(added);
        diff.deletions = diff.deletions.saturating_add(deleted);
        let at = path.and_then(|path| index.get(path));
        if let Some(file) = at.and_then(|at| diff.files.get_mut(*at)) {
            file.additions = file.additions.saturating_add(added);
            file.deletions = file.deletions.saturating_add(deleted);
        }
    }
    diff
}

/// What became of a file, and whether it comes with two names.
fn status(raw: &[u8]) -> (&'static str, bool) {
    let last = raw.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    match last.first() {
        Some(b'A') => ("added", false),
        Some(b'C') => ("added", true),
        Some(b'D') => ("deleted", false),
        Some(b'R') => ("renamed", true),
        _ => ("modified", false),
    }
}

/// `-` stands for a file that is no text.
fn count(field: &[u8]) -> u64 {
    std::str::from_utf8(field).ok().and_then(|field| field.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, status: &str, additions: u64, deletions: u64) -> GitChangedFile {
        GitChangedFile { path: path.into(), status: status.into(), additions, deletions }
    }

    #[test]
    fn files_have_what_became_of_them_and_their_lines() {
        let said = b":100644 100644 82e3355 dc89fb2 R054\0g\0h\t1\0\
            :000000 100644 0000000 dc89fb2 A\0odd\nname\0\
            :100644 000000 dc89fb2 0000000 D\0:gone\0\
            :100644 100644 dc89fb2 0000000 M\0picture.png\0\
            1\t0\t\0g\0h\t1\0\
            3\t0\todd\nname\0\
            0\t7\t:gone\0\
            -\t-\tpicture.png\0";
        let diff = read(said);
        let expected = [
            file("h\t1", "renamed", 1, 0),
            file("odd\nname", "added", 3, 0),
            file(":gone", "deleted", 0, 7),
            file("picture.png", "modified", 0, 0),
        ];
        assert_eq!(diff.files, expected);
        assert_eq!((diff.additions, diff.deletions), (4, 7));
        assert_eq!(read(b""), GitDiff::default());
    }

    proptest! {
        #[test]
        fn nothing_that_git_could_say_breaks_it(
            bytes in prop::collection::vec(prop::sample::select(&b":ARMD 10\t\t\0\0-ab\xff"[..]), 0..80),
        ) {
            let diff = read(&bytes);
            let lines: u64 = diff.files.iter().map(|file| file.additions).sum();
            prop_assert!(lines <= diff.additions);
        }

        #[test]
        fn lines_are_added_up(counts in prop::collection::vec((0_u64..1000, 0_u64..1000), 0..8)) {
            let raw = |at: usize| format!(":100644 100644 a b M\0f{at}\0");
            let raw: String = (0..counts.len()).map(raw).collect();
            let lines = counts.iter().enumerate();
            let lines: String = lines.map(|(at, (a, d))| format!("{a}\t{d}\tf{at}\0")).collect();
            let diff = read((raw + &lines).as_bytes());
            let told: Vec<_> = diff.files.iter().map(|file| (file.additions, file.deletions)).collect();
            prop_assert_eq!(&told, &counts);
            prop_assert_eq!(diff.additions, counts.iter().map(|count| count.0).sum::<u64>());
        }
    }
}
