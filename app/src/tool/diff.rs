//! What an edit changed, line by line.

use serde_json::Value;

use super::text_of;

/// Most lines that are shown. All of them are counted.
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

/// As many of the lines as are shown, and how many more there are.
pub(super) fn shown(mut lines: Vec<Line>) -> Vec<Line> {
    let more = lines.len().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.truncate(MAX_LINES);
        lines.push(Line { side: Side::Same, text: format!("… {more} more lines") });
    }
    lines
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
    before.chain(removed).chain(added).chain(after).collect()
}

/// The lines of a patch. Its heads are left out; inside a hunk everything is a line of the file, be it
/// that it looks like a head.
fn of_patch(patch: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    // Lines of the hunk that are still to come, old and new; (0, 0) where no hunk says.
    let (mut old, mut new) = (0_usize, 0_usize);
    let mut all = patch.lines().peekable();
    while let Some(line) = all.next() {
        let next = all.peek().copied().unwrap_or_default();
        if line.starts_with('\\') || ((old, new) == (0, 0) && is_head(line, next)) {
            (old, new) = hunk(line).unwrap_or((old, new));
            if line.starts_with("--- ") {
                all.next();
            }
            continue;
        }
        let (side, text) = match line.as_bytes().first() {
            Some(b'+') => (Side::Added, &line[1..]),
            Some(b'-') => (Side::Removed, &line[1..]),
            Some(b' ') => (Side::Same, &line[1..]),
            _ => (Side::Same, line),
        };
        old = old.saturating_sub(usize::from(side != Side::Added));
        new = new.saturating_sub(usize::from(side != Side::Removed));
        lines.push(Line { side, text: text.to_owned() });
    }
    lines
}

/// Whether a line between hunks is a head. The names of a file's two sides stand on two lines.
fn is_head(line: &str, next: &str) -> bool {
    (line.starts_with("--- ") && next.starts_with("+++ "))
        || ["***", "@@", "diff ", "index "].iter().any(|head| line.starts_with(head))
}

/// How many old and new lines a hunk has, from its head `@@ -1,3 +1,4 @@`. Some agents leave them out.
fn hunk(head: &str) -> Option<(usize, usize)> {
    let mut ranges = head.strip_prefix("@@ -")?.split(" @@").next()?.split(" +");
    let mut count = || match ranges.next()?.split_once(',') {
        Some((_, count)) => count.parse().ok(),
        None => Some(1),
    };
    Some((count()?, count()?))
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
    fn a_line_of_a_hunk_is_no_head_whatever_it_looks_like() {
        let patch = "--- a.sql\n+++ b.sql\n@@ -1,2 +1,3 @@\n--- old\n+++ new\n+@@\n *** x\n\
                     \\ No newline at end of file\ndiff --git c d\n--- c\n+++ d\n@@ -1 +1 @@\n-x\n+y";
        let lines = of_input(&json!({ "patch": patch }));
        assert_eq!(written(&lines), "--- old\n+++ new\n+@@\n *** x\n-x\n+y\n");
        let without_counts = "*** Update File: a\n@@ fn a()\n--- old\n+new\n*** End Patch";
        assert_eq!(written(&of_input(&json!({ "diff": without_counts }))), "--- old\n+new\n");
    }

    #[test]
    fn all_lines_are_counted_and_the_first_are_shown() {
        let new = "x\n".repeat(900);
        let lines = of_input(&json!({"oldString": "a", "newString": new}));
        assert_eq!(counts(&lines), (900, 1));
        let patch =
            of_input(&json!({"patch": format!("@@ -0,0 +1,900 @@\n{}", "+x\n".repeat(900))}));
        assert_eq!(counts(&patch), (900, 0));
        let shown = shown(lines);
        assert_eq!(shown.len(), MAX_LINES + 1);
        assert_eq!(shown[MAX_LINES].text, "… 501 more lines");
    }

    #[test]
    fn an_input_without_a_change_shows_none() {
        assert_eq!(of_input(&json!({"path": "x"})), []);
    }
}
