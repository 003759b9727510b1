//! Finds the pieces of a request: paths, quotations, blocks, contents.

/// A fenced block and the text before it.
pub(super) struct Block<'a> {
    pub(super) before: &'a str,
    pub(super) text: &'a str,
}

const QUOTES: &[(char, char)] = &[('"', '"'), ('`', '`'), ('“', '”'), ('\'', '\''), ('«', '»')];

pub(super) fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

pub(super) fn has_all(text: &str, words: &[&str]) -> bool {
    words.iter().all(|word| text.contains(word))
}

/// Where a phrase stands, and the text after it. Offsets are those of the lower-case text, which
/// differ from the original's for a few letters of a few languages: then there is no answer.
pub(super) fn after<'a>(text: &'a str, lower: &str, phrase: &str) -> Option<(usize, &'a str)> {
    let at = lower.find(phrase)?;
    let rest = text.get(at + phrase.len()..)?;
    (text.len() == lower.len()).then_some((at, rest))
}

/// The block between two fences. The last line's end belongs to it.
pub(super) fn fenced_block(text: &str) -> Option<Block<'_>> {
    let start = text.find("```")?;
    let inside = text.get(start + 3..)?;
    let first_line = inside.find('\n')?;
    let content = inside.get(first_line + 1..)?;
    let end = content.rfind("```")?;
    Some(Block { before: text.get(..start)?, text: content.get(..end)? })
}

/// The first text between a pair of the given marks.
pub(super) fn marked<'a>(text: &'a str, marks: &[char]) -> Option<&'a str> {
    let (open, close) = *QUOTES.iter().find(|(open, _)| marks.contains(open))?;
    let start = text.find(open)? + open.len_utf8();
    let length = text.get(start..)?.find(close)?;
    text.get(start..start + length)
}

/// A word without the marks around it.
pub(super) fn bare(word: &str) -> &str {
    const MARKS: &[char] =
        &['"', '\'', '`', '“', '”', ',', ';', ':', '!', '?', '(', ')', '*', '«', '»'];
    word.trim_matches(MARKS).trim_end_matches('.').trim_end_matches(MARKS)
}

/// Whether a word is the name of a file: it has an ending, or a folder before it.
pub(super) fn looks_like_path(word: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "/._-~+".contains(c);
    if word.is_empty() || word.contains("://") || !word.chars().all(allowed) {
        return false;
    }
    let name = word.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').is_some_and(|(stem, ending)| {
        let letters = ending.chars().any(char::is_alphabetic);
        letters && ending.len() <= 8 && (!stem.is_empty() || ending.len() > 1)
    });
    let abbreviation = matches!(word.to_lowercase().as_str(), "e.g" | "i.e" | "etc");
    (ending && !abbreviation)
        || (word.contains('/') && !name.is_empty() && word.starts_with(['/', '.', '~']))
}

/// All words that are names of files, in order.
pub(super) fn paths(text: &str) -> Vec<String> {
    let words = text.split_whitespace().map(bare);
    words.filter(|word| looks_like_path(word)).map(str::to_owned).collect()
}

/// What stands between quotation marks, or the trimmed text when none do.
pub(super) fn unquoted(text: &str) -> String {
    let text = text.trim();
    for (open, close) in QUOTES {
        let inner = text.strip_prefix(*open).and_then(|rest| {
            let end = rest.rfind(*close)?;
            rest.get(..end)
        });
        if let Some(inner) = inner {
            return inner.to_owned();
        }
    }
    text.trim_end_matches([',', '.']).to_owned()
}

/// Where "… in FILE" begins at the end of a text.
pub(super) fn end_before_path(text: &str, path: &str) -> usize {
    let Some(at) = text.rfind(path) else { return text.len() };
    let head = text.get(..at).unwrap_or_default();
    let joints = [" in the file ", " in file ", " inside ", " in "];
    let found = joints.iter().filter_map(|joint| head.rfind(joint));
    found.min().unwrap_or(at)
}

/// What is to be written into a file, when the request says it in words.
pub(super) fn content(text: &str, path: &str) -> Option<String> {
    const OPENINGS: &[&str] = &[
        " containing exactly ",
        " containing the text ",
        " containing the line ",
        " containing ",
        " with the content ",
        " with the contents ",
        " with content ",
        " with the text ",
        " with the line ",
        " that contains ",
        " which contains ",
        " that says ",
        " saying ",
        " whose content is ",
    ];
    let lower = text.to_lowercase();
    let stated = OPENINGS.iter().find_map(|opening| after(text, &lower, opening));
    let stated = stated.map(|(_, rest)| rest.trim_start_matches(':'));
    let from_colon =
        || text.split_once(": ").or_else(|| text.split_once(":\n")).map(|(_, rest)| rest);
    if let Some(rest) = stated.or_else(from_colon) {
        let quoted = rest.trim_start().starts_with(|c| QUOTES.iter().any(|(open, _)| *open == c));
        let rest = if quoted { rest } else { without_tail(rest, path) };
        return Some(unquoted(rest)).filter(|content| !content.is_empty());
    }
    // `write "hello" to notes.txt`
    let quoted = marked(text, &['"']).or_else(|| marked(text, &['“']));
    quoted.filter(|content| *content != path).map(str::to_owned)
}

/// A text without "to FILE" or "and run it" at its end.
fn without_tail<'a>(text: &'a str, path: &str) -> &'a str {
    let tails = [
        format!(" to {path}"),
        format!(" into {path}"),
        " and run it".into(),
        " then run it".into(),
    ];
    let text = text.trim_end();
    let text = text.strip_suffix('.').unwrap_or(text);
    tails.iter().fold(text, |text, tail| text.strip_suffix(tail.as_str()).unwrap_or(text))
}

/// The first number, `24k` and `24,000` being one each.
pub(super) fn number(text: &str) -> Option<usize> {
    text.split_whitespace().find_map(|word| {
        let word = word.replace([',', '_', '.'], "");
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        let number: usize = digits.parse().ok()?;
        let thousands = word.get(digits.len()..)?.starts_with('k');
        number.checked_mul(if thousands { 1000 } else { 1 })
    })
}
