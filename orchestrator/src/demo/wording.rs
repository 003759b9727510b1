//! Texts and small pieces of text.

pub(super) use crate::tools::fenced;

/// Said once in each session, first.
pub(super) const INTRODUCTION: &str = "I am Skein's **demo agent**: a fixed script, not a language \
    model. What I do in this sandbox is real, though; how to connect a model is described in the \
    README, section “Connect a model”.";

const CAPABILITIES: &str = "You can ask me to\n\n\
    - **list** the files: `list the files`\n\
    - **read** a file: `show me notes.txt`\n\
    - **write** a file: `write notes.txt containing \"buy milk\"`\n\
    - **edit** a file: `replace \"milk\" with \"bread\" in notes.txt`\n\
    - **run** a file or a command: `run hello.py`, or `run uname -a`\n\
    - do a **longer job**: `write a small program, run it, and fix what fails`\n\
    - give a **long answer**: `write a long markdown answer`\n\
    - **ask you** something: `ask me which colour to use: red, green or blue`\n\
    - **remember**: `remember: the demo is on Friday`, then `what do you remember?`\n\n\
    or one of these: `Explain a repository`, `Clean a spreadsheet`, `Write and run a script`, \
    `Find the slow part`.\n\n\
    For anything else, connect a model: the README says how in its section “Connect a model”.";

/// What it can do, to somebody who asks for that.
pub(super) fn capabilities() -> String {
    format!("I know a handful of requests, and do them for real. {CAPABILITIES}")
}

/// The same, to somebody who asked for something else.
pub(super) fn beyond_me() -> String {
    format!("That is beyond me: I only know a handful of requests. {CAPABILITIES}")
}

/// Lines of a command's output that are repeated in an answer.
const QUOTED_LINES: usize = 30;
const QUOTED_CHARS: usize = 2_000;

/// The beginning of a text, fenced, with a remark when something was left out.
pub(super) fn quoted(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines().take(QUOTED_LINES) {
        if kept.len() + line.len() > QUOTED_CHARS {
            kept.extend(line.chars().take(QUOTED_CHARS.saturating_sub(kept.len())));
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    let cut = kept.trim_end().len() < text.trim_end().len();
    let remark = if cut { "\n\nThat is only the beginning of it." } else { "" };
    format!("{}{remark}", fenced("text", &kept))
}

/// Inline code.
pub(super) fn code(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", bytes.div_ceil(1024)),
        _ => format!("{} MB", bytes.div_ceil(1 << 20)),
    }
}

/// A duration for people.
pub(super) fn duration(millis: u64) -> String {
    if millis < 1000 {
        format!("{millis} ms")
    } else {
        format!("{}.{} s", millis / 1000, millis % 1000 / 100)
    }
}

/// A word as a single argument of a shell.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_output_is_cut_with_a_remark_and_short_output_is_not() {
        assert!(quoted(&"x\n".repeat(100)).contains("only the beginning"));
        assert!(quoted(&"x".repeat(5000)).contains("only the beginning"));
        assert!(!quoted("x\ny\n").contains("only the beginning"));
    }

    #[test]
    fn a_shell_word_survives_quotes() {
        assert_eq!(shell_word("src/main.rs"), "src/main.rs");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("it's; rm"), r"'it'\''s; rm'");
    }
}
