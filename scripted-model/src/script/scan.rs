//! Finding directives in prose.

use serde_json::Value;

/// `NAME[argument]`, or a bare `NAME` where that is a whole directive.
#[derive(Debug, PartialEq)]
pub(super) struct Directive<'a> {
    pub(super) name: &'static str,
    pub(super) argument: Option<&'a str>,
}

const NAMES: [&str; 12] = [
    "RUN",
    "CALL",
    "STEPS",
    "SAY",
    "LONG",
    "THINK",
    "SLOW",
    "USAGE",
    "FAIL",
    "DROP",
    "TRUNCATE",
    "MALFORMED",
];
const BARE: [&str; 2] = ["DROP", "MALFORMED"];

/// All directives of a prompt, in order. Everything else in it is ignored.
pub(super) fn directives(prompt: &str) -> Vec<Directive<'_>> {
    let mut found = Vec::new();
    let mut rest = prompt;
    // A directive starts a word: in `PRERUN[x]` there is none.
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        if !in_word && let Some((directive, after)) = directive(rest) {
            found.push(directive);
            rest = after;
            continue;
        }
        in_word = is_word(first);
        rest = &rest[first.len_utf8()..];
    }
    found
}

fn directive(text: &str) -> Option<(Directive<'_>, &str)> {
    let name = *NAMES.iter().find(|name| text.starts_with(**name))?;
    let after = &text[name.len()..];
    if let Some(argument) = after.strip_prefix('[')
        && let Some(length) = argument_length(name, argument)
    {
        let directive = Directive { name, argument: Some(&argument[..length]) };
        return Some((directive, &argument[length + 1..]));
    }
    let is_bare = BARE.contains(&name) && !after.starts_with(|c| is_word(c) || c == '[');
    is_bare.then_some((Directive { name, argument: None }, after))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the argument's closing bracket is.
fn argument_length(name: &str, argument: &str) -> Option<usize> {
    if name == "CALL"
        && let Some(length) = json_call_length(argument)
    {
        return Some(length);
    }
    balanced_length(argument)
}

/// Brackets inside of the JSON's strings do not count, so that any file content can be written.
fn json_call_length(argument: &str) -> Option<usize> {
    let start = argument.find('{')?;
    if argument[..start].contains(']') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(&argument[start..]).into_iter::<Value>();
    values.next()?.ok()?;
    let end = start + values.byte_offset();
    let rest = &argument[end..];
    rest.trim_start().starts_with(']').then(|| end + rest.len() - rest.trim_start().len())
}

/// Brackets inside of the argument come in pairs, as in `RUN[[ -f x ] && echo ${a[0]}]`.
fn balanced_length(argument: &str) -> Option<usize> {
    let mut open = 0usize;
    for (index, c) in argument.char_indices() {
        match c {
            '[' => open += 1,
            ']' if open == 0 => return Some(index),
            ']' => open -= 1,
            _ => {}
        }
    }
    None
}
