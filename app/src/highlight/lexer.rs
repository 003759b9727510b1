//! Reads code of the languages that have words, texts and comments, and diffs.

use super::languages::Language;
use super::{Cut, Kind};

/// Cuts code by the language's table.
pub(super) fn code(cut: &mut Cut<'_>, language: &Language) {
    let mut at = 0;
    // Where a shell expects the name of a program.
    let mut command = true;
    while let Some(rest) = cut.code.get(at..).filter(|rest| !rest.is_empty()) {
        let next = rest.chars().next().unwrap_or_default();
        let (kind, length) = if let Some(length) = comment(cut.code, at, language) {
            (Kind::Comment, length)
        } else if let Some(length) = text(rest, language) {
            let key = language.traits.keys && before_colon(&rest[length..]);
            (if key { Kind::Function } else { Kind::Text }, length)
        } else if next.is_ascii_digit() {
            (Kind::Number, number(rest))
        } else if language.traits.shell && next == '$' {
            (Kind::Number, 1 + variable(&rest[1..]))
        } else if begins_name(next) {
            let length = name(rest, language);
            word(&rest[..length], &rest[length..], command, language)
        } else {
            (Kind::Plain, next.len_utf8())
        };
        command = match next {
            ' ' | '\t' => command,
            '\n' | '|' | '&' | ';' | '(' => true,
            // A prompt.
            '$' if length == 1 => true,
            _ => kind == Kind::Keyword && length < 6,
        };
        if kind != Kind::Plain {
            cut.piece(kind, at, at + length);
        }
        at += length;
    }
}

/// Cuts a diff by the first character of its lines.
pub(super) fn diff(cut: &mut Cut<'_>) {
    let mut at = 0;
    for line in cut.code.split_inclusive('\n') {
        let length = line.trim_end_matches('\n').len();
        let kind = if line.starts_with("+++") || line.starts_with("---") || line.starts_with("@@") {
            Kind::Comment
        } else if line.starts_with('+') {
            Kind::Added
        } else if line.starts_with('-') {
            Kind::Removed
        } else {
            Kind::Plain
        };
        if kind != Kind::Plain {
            cut.piece(kind, at, at + length);
        }
        at += line.len();
    }
}

fn comment(code: &str, at: usize, language: &Language) -> Option<usize> {
    let rest = &code[at..];
    if language.line_comments.iter().any(|start| rest.starts_with(start)) {
        let after_space = code[..at].chars().next_back().is_none_or(char::is_whitespace);
        if !language.traits.shell || after_space {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
    }
    let (open, close) = language.block_comment?;
    let inner = rest.strip_prefix(open)?;
    Some(inner.find(close).map_or(rest.len(), |end| open.len() + end + close.len()))
}

/// Length of the text that begins here, quotes included.
fn text(rest: &str, language: &Language) -> Option<usize> {
    if language.traits.rust {
        if let Some(length) = raw_text(rest) {
            return Some(length);
        }
        if rest.starts_with('\'') {
            return character(rest);
        }
    }
    let quote = *language.quotes.iter().find(|quote| rest.starts_with(**quote))?;
    let long = language.long_quotes.contains(&quote);
    let mut at = quote.len();
    while let Some(inner) = rest.get(at..).filter(|inner| !inner.is_empty()) {
        if inner.starts_with(quote) {
            return Some(at + quote.len());
        }
        let next = inner.chars().next()?;
        if next == '\n' && !long {
            return Some(at);
        }
        at += next.len_utf8();
        if next == '\\' {
            at += inner.chars().nth(1).filter(|c| long || *c != '\n').map_or(0, char::len_utf8);
        }
    }
    Some(rest.len())
}

/// `r"…"` and `r#"…"#`.
fn raw_text(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('r')?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", &inner[..hashes]);
    let end = body.find(&close).map_or(body.len(), |end| end + close.len());
    Some(1 + hashes + 1 + end)
}

/// `'x'` or `'\n'`, but not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = &rest[1..];
    let first = inner.chars().next()?;
    let end = if first == '\\' {
        let escaped = inner.chars().nth(1)?;
        1 + escaped.len_utf8() + inner[1 + escaped.len_utf8()..].find('\'')?
    } else {
        first.len_utf8()
    };
    (end < 12 && inner.get(end..)?.starts_with('\'')).then_some(end + 2)
}

fn number(rest: &str) -> usize {
    let mut chars = rest.char_indices().peekable();
    while let Some((at, next)) = chars.next() {
        let point = next == '.' && chars.peek().is_some_and(|(_, c)| c.is_ascii_digit());
        if !next.is_ascii_alphanumeric() && next != '_' && !point {
            return at;
        }
    }
    rest.len()
}

fn variable(rest: &str) -> usize {
    if rest.starts_with('{') {
        return rest.find(['}', '\n']).map_or(rest.len(), |end| end + 1);
    }
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn name(rest: &str, language: &Language) -> usize {
    let part = |c: char| c.is_alphanumeric() || c == '_' || (c == '-' && language.traits.dashes);
    rest.find(|c: char| !part(c)).unwrap_or(rest.len())
}

/// The kind of a word, and its length: a macro's `!` belongs to it.
fn word(word: &str, after: &str, command: bool, language: &Language) -> (Kind, usize) {
    let is = |keyword: &str| {
        if language.traits.any_case { keyword.eq_ignore_ascii_case(word) } else { keyword == word }
    };
    let kind = if language.keywords.split_ascii_whitespace().any(is) {
        Kind::Keyword
    } else if language.traits.rust && after.starts_with("!(") || after.starts_with("![") {
        return (Kind::Function, word.len() + 1);
    } else if after.starts_with('(')
        || (language.traits.shell && command && !after.starts_with('='))
        || (language.traits.keys && before_colon(after))
    {
        Kind::Function
    } else {
        Kind::Plain
    };
    (kind, word.len())
}

fn before_colon(after: &str) -> bool {
    after.trim_start_matches([' ', '\t']).starts_with([':', '='])
}
