//! What may be taken a snapshot of.

use sandbox_sdk::types::TakeSnapshot;

use super::SnapshotError;
use crate::sidecar::{HOME, WORKSPACE};

const MAX_TAGS: usize = 32;
const MAX_TAG: usize = 128;
const MAX_PATHS: usize = 64;
const MAX_PATH: usize = 4096;
const MAX_PROJECT: usize = 128;

/// Everything a sandbox keeps.
pub(super) fn everything() -> Vec<String> {
    vec![WORKSPACE.to_owned(), HOME.to_owned()]
}

/// A request that can be fulfilled, its paths absolute.
pub(super) fn check(mut take: TakeSnapshot) -> Result<TakeSnapshot, SnapshotError> {
    if take.tags.len() > MAX_TAGS || take.paths.len() > MAX_PATHS {
        return invalid(format!("at most {MAX_TAGS} tags and {MAX_PATHS} paths"));
    }
    let is_bad =
        |tag: &String| tag.is_empty() || tag.len() > MAX_TAG || tag.chars().any(char::is_control);
    if take.tags.iter().any(is_bad) {
        return invalid(format!("a tag is 1 to {MAX_TAG} bytes without control characters"));
    }
    for path in &mut take.paths {
        *path = inside(path)?;
    }
    Ok(take)
}

/// The path inside the sandbox, absolute and without detours. The sandbox looks at links itself.
pub(super) fn inside(path: &str) -> Result<String, SnapshotError> {
    if path.is_empty() || path.len() > MAX_PATH || path.contains('\0') {
        return invalid(format!("a path is 1 to {MAX_PATH} bytes without a zero byte"));
    }
    let from_root = path.starts_with('/');
    let start = if from_root { "" } else { WORKSPACE };
    let mut plain = start.to_owned();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => return invalid("a path must not have `..` in it"),
            name => {
                plain.push('/');
                plain.push_str(name);
            }
        }
    }
    let is_in = |folder: &str| {
        plain.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is_in(WORKSPACE) || is_in(HOME) {
        return Ok(plain);
    }
    invalid(format!("a path must be in {WORKSPACE} or {HOME}"))
}

/// A project's name, which becomes a part of the names of objects.
pub(super) fn project(name: &str) -> Result<(), SnapshotError> {
    if is_plain(name) && name.len() <= MAX_PROJECT {
        return Ok(());
    }
    invalid(format!("projectId must be 1 to {MAX_PROJECT} of [A-Za-z0-9._-], no dot first"))
}

/// Whether nobody can take it for anything but a name.
pub(super) fn is_plain(name: &str) -> bool {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(named)
}

/// Whether it is the id of a snapshot of ours: `snap-` and 32 hexadecimal digits.
pub(super) fn is_id(id: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    id.strip_prefix("snap-").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(digit))
}

/// Ids of later ones come later in the order of the alphabet.
pub(super) fn new_id() -> String {
    format!("snap-{}", uuid::Uuid::now_v7().simple())
}

pub(super) fn invalid<T>(words: impl Into<String>) -> Result<T, SnapshotError> {
    Err(SnapshotError::Invalid(words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_in_the_sandboxs_own_folders_however_they_are_written() {
        for (path, plain) in [
            ("a.txt", "/workspace/a.txt"),
            ("./a//b/.", "/workspace/a/b"),
            (".", "/workspace"),
            ("/workspace/", "/workspace"),
            ("/home/agent/.config", "/home/agent/.config"),
        ] {
            assert_eq!(inside(path).unwrap(), plain, "{path}");
        }
        for path in [
            "",
            "/",
            "/etc/passwd",
            "../etc",
            "a/../../b",
            "/workspaces",
            "/home",
            "a\0b",
            "/tmp/x",
        ] {
            assert!(inside(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn ids_are_told_from_everything_else() {
        assert!(is_id(&new_id()));
        for id in ["", "snap-", "snap-../../../../etc/passwd", "snap-1", &new_id().to_uppercase()] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn names_of_projects_lead_nowhere() {
        assert!(project("sandbox-0123").is_ok() && project("my_project.v2").is_ok());
        for name in ["", ".", "..", "a/b", "a b", "a\n", "ä", &"x".repeat(129)] {
            assert!(project(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn tags_and_paths_are_bounded() {
        let take = |tags: Vec<String>, paths: Vec<String>| {
            check(TakeSnapshot { tags, paths, ..TakeSnapshot::default() }).is_ok()
        };
        assert!(take(vec!["a".into()], vec!["b".into()]));
        assert!(!take(vec!["a".into(); MAX_TAGS + 1], vec![]));
        assert!(!take(vec!["a\n".into()], vec![]));
        assert!(!take(vec!["x".repeat(MAX_TAG + 1)], vec![]));
        assert!(!take(vec![], vec!["a".into(); MAX_PATHS + 1]));
    }
}
