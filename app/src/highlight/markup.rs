//! Reads HTML and XML: tags, attributes, comments.

use super::{Cut, Kind};

pub(super) fn tags(cut: &mut Cut<'_>) {
    let code = cut.code;
    let mut at = 0;
    while let Some(open) = code[at..].find('<').map(|found| at + found) {
        if code[open..].starts_with("<!--") {
            let end = code[open..].find("-->").map_or(code.len(), |end| open + end + 3);
            cut.piece(Kind::Comment, open, end);
            at = end;
        } else {
            at = tag(cut, open + 1);
        }
    }
}

/// Cuts one tag from behind its `<`; gives where it ends.
fn tag(cut: &mut Cut<'_>, start: usize) -> usize {
    let code = cut.code;
    let begin = start + usize::from(code[start..].starts_with(['/', '!', '?']));
    let name = begin + word(&code[begin..]);
    cut.piece(Kind::Keyword, begin, name);
    let mut at = name;
    while let Some(next) = code[at..].chars().next() {
        match next {
            '>' => return at + 1,
            // Text that only looked like a tag.
            '<' => return at,
            '"' | '\'' => {
                let end = code[at + 1..].find(next).map_or(code.len(), |end| at + end + 2);
                cut.piece(Kind::Text, at, end);
                at = end;
            }
            _ => {
                let length = word(&code[at..]);
                cut.piece(Kind::Function, at, at + length);
                at += length.max(next.len_utf8());
            }
        }
    }
    at
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | ':')).unwrap_or(rest.len())
}
