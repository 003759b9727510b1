//! What an edit changed, line by line.

use serde_json::Value;

use super::text_of;

/// Most lines that are shown.
const MAX_LINES: usize = 400;
/// Unchanged lines shown on each side.
const CONTEXT: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Same,
    Added,
    Removed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub side: Side,
    pub text: String,
}

/// The change that an edit asks for: given as a patch, or as old and new text.
pub(super) fn of_input(input: &Value) -> Vec<Line> {
    if let Some(patch) = text_of(input, &["diff", "patch"]) {
        return of_patch(patch);
    }
    let old = text_of(input, &["oldString", "old_string", "old_str", "old", "search"]);
    let new = text_of(input, &["newString", "new_string", "new_str", "new", "replace"]);
    match (old, new) {
        (None, None) => Vec::new(),
        (old, new) => between(old.unwrap_or_default(), new.unwrap_or_default()),
    }
}

/// Lines added and removed.
pub(super) fn counts(lines: &[Line]) -> (usize, usize) {
    let of = |side| lines.iter().filter(|line| line.side == side).count();
    (of(Side::Added), of(Side::Removed))
}

/// What both begin and end with is the same; between, the old lines went and the new ones came.
fn between(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b);
    let tail = tail.count();
    let line = |side, text: &&str| Line { side, text: (*text).to_owned() };
    let before = old[head.saturating_sub(CONTEXT)..head].iter().map(|text| line(Side::Same, text));
    let removed = old[head..old.len() - tail].iter().map(|text| line(Side::Removed, text));
    let added = new[head..new.len() - tail].iter().map(|text| line(Side::Added, text));
    let after = new[new.len() - tail..].iter().take(CONTEXT).map(|text| line(Side::Same, text));
    before.chain(removed).chain(added).chain(after).take(MAX_LINES).collect()
}

fn of_patch(patch: &str) -> Vec<Line> {
    let body = patch.lines().filter(|line| {
        !["+++", "---", "***", "@@", "diff ", "index "].iter().any(|head| line.starts_with(head))
    });
    let line = |line: &str| {
        let (side, text) = match line.as_bytes().first() {
            Some(b'+') => (Side::Added, &line[1..]),
            Some(b'-') => (Side::Removed, &line[1..]),
            Some(b' ') => (Side::Same, &line[1..]),
            _ => (Side::Same, line),
        };
        Line { side, text: text.to_owned() }
    };
    body.map(line).take(MAX_LINES).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(lines: &[Line]) -> String {
        let mark = |side| match side {
            Side::Same => ' ',
            Side::Added => '+',
            Side::Removed => '-',
        };
        lines.iter().map(|line| format!("{}{}\n", mark(line.side), line.text)).collect()
    }

    #[test]
    fn only_what_differs_is_added_and_removed() {
        let lines = of_input(&json!({"oldString": "1\n2\n3\n4\n5", "newString": "1\n2\n3\nx\n5"}));
        assert_eq!(written(&lines), " 2\n 3\n-4\n+x\n 5\n");
    }

    #[test]
    fn a_new_text_is_only_added() {
        assert_eq!(counts(&of_input(&json!({"old_string": "", "new_string": "a\nb"}))), (2, 0));
    }

    #[test]
    fn a_patch_is_shown_without_its_heads() {
        let lines = of_input(&json!({"patch": "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z"}));
        assert_eq!(written(&lines), "-x\n+y\n z\n");
    }

    #[test]
    fn an_input_without_a_change_shows_none() {
        assert_eq!(of_input(&json!({"path": "x"})), []);
    }
}
