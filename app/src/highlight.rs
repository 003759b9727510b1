//! Colours code: a small lexer of our own, one for the server and the browser.
//!
//! It knows comments, strings, numbers, keywords and calls, which is what the eye looks for. Real
//! grammars would be ten times the rest of the page; what this one can't tell stays uncoloured.

mod languages;
mod lexer;
mod markup;

use languages::{Language, Style};

use crate::markdown::escape;

/// What a piece of code is. Everything else is plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Keyword,
    Text,
    Function,
    Number,
    Comment,
    Added,
    Removed,
}

impl Kind {
    fn class(self) -> Option<&'static str> {
        Some(match self {
            Self::Plain => return None,
            Self::Keyword => "k",
            Self::Text => "s",
            Self::Function => "f",
            Self::Number => "n",
            Self::Comment => "c",
            Self::Added => "add",
            Self::Removed => "del",
        })
    }
}

/// Longest code that is coloured. Beyond it a reader scrolls by, and every span costs a node.
const MAX_COLOURED: usize = 60_000;

/// Writes `code` as HTML: escaped, with a span around each piece that has a colour.
pub fn write_html(code: &str, language: &str, out: &mut String) {
    let language = languages::by_name(language);
    let Some(language) = language.filter(|_| code.len() <= MAX_COLOURED) else {
        return escape(code, out);
    };
    for (kind, piece) in pieces(code, language) {
        let Some(class) = kind.class() else {
            escape(piece, out);
            continue;
        };
        out.push_str("<span class=\"");
        out.push_str(class);
        out.push_str("\">");
        escape(piece, out);
        out.push_str("</span>");
    }
}

/// The code cut into pieces that together are the code. Neighbours differ in kind.
fn pieces<'a>(code: &'a str, language: &Language) -> Vec<(Kind, &'a str)> {
    let mut cut = Cut { code, start: 0, pieces: Vec::new() };
    match language.style {
        Style::Code => lexer::code(&mut cut, language),
        Style::Markup => markup::tags(&mut cut),
        Style::Diff => lexer::diff(&mut cut),
    }
    cut.rest();
    cut.pieces
}

/// Collects pieces: whatever lies between two coloured ones is plain.
struct Cut<'a> {
    code: &'a str,
    start: usize,
    pieces: Vec<(Kind, &'a str)>,
}

impl Cut<'_> {
    /// Colours `from..to`, which begins at or after the end of what is cut already.
    fn piece(&mut self, kind: Kind, from: usize, to: usize) {
        if from >= to {
            return;
        }
        if self.start < from {
            self.pieces.push((Kind::Plain, &self.code[self.start..from]));
        }
        self.pieces.push((kind, &self.code[from..to]));
        self.start = to;
    }

    fn rest(&mut self) {
        if self.start < self.code.len() {
            self.pieces.push((Kind::Plain, &self.code[self.start..]));
            self.start = self.code.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut<'a>(code: &'a str, language: &str) -> Vec<(Kind, &'a str)> {
        pieces(code, languages::by_name(language).unwrap())
    }

    fn of_kind<'a>(code: &'a str, language: &str, kind: Kind) -> Vec<&'a str> {
        cut(code, language).into_iter().filter(|(k, _)| *k == kind).map(|(_, text)| text).collect()
    }

    #[test]
    fn rust_is_told_apart() {
        let code = "fn main() { let c: &'a _ = 'x'; println!(\"{}\", 0x1f); } // end";
        assert_eq!(of_kind(code, "rust", Kind::Keyword), ["fn", "let"]);
        assert_eq!(of_kind(code, "rs", Kind::Text), ["'x'", "\"{}\""]);
        assert_eq!(of_kind(code, "rust", Kind::Function), ["main", "println!"]);
        assert_eq!(of_kind(code, "rust", Kind::Number), ["0x1f"]);
        assert_eq!(of_kind(code, "rust", Kind::Comment), ["// end"]);
    }

    #[test]
    fn a_python_docstring_spans_lines() {
        let code = "def f():\n    \"\"\"One\n    two.\"\"\"\n    return None  # so";
        assert_eq!(of_kind(code, "python", Kind::Text), ["\"\"\"One\n    two.\"\"\""]);
        assert_eq!(of_kind(code, "py", Kind::Comment), ["# so"]);
    }

    #[test]
    fn a_string_that_is_not_closed_ends_with_its_line() {
        assert_eq!(of_kind("x = 'open\ny = 1", "python", Kind::Text), ["'open"]);
    }

    #[test]
    fn in_a_shell_command_the_program_and_its_variables_stand_out() {
        let code = "cargo test | grep $NAME # now";
        assert_eq!(of_kind(code, "bash", Kind::Function), ["cargo", "grep"]);
        assert_eq!(of_kind(code, "bash", Kind::Number), ["$NAME"]);
        assert_eq!(of_kind("echo a#b", "sh", Kind::Comment), Vec::<&str>::new());
    }

    #[test]
    fn json_keys_are_not_strings() {
        assert_eq!(of_kind(r#"{"a": "b"}"#, "json", Kind::Function), ["\"a\""]);
        assert_eq!(of_kind(r#"{"a": "b"}"#, "json", Kind::Text), ["\"b\""]);
    }

    #[test]
    fn lines_of_a_diff_have_their_side() {
        let code = "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same";
        assert_eq!(of_kind(code, "diff", Kind::Removed), ["-old"]);
        assert_eq!(of_kind(code, "diff", Kind::Added), ["+new"]);
    }

    #[test]
    fn markup_has_tags_attributes_and_comments() {
        let code = "<p class=\"a\">x</p><!-- y -->";
        assert_eq!(of_kind(code, "html", Kind::Keyword), ["p", "p"]);
        assert_eq!(of_kind(code, "html", Kind::Text), ["\"a\""]);
        assert_eq!(of_kind(code, "html", Kind::Comment), ["<!-- y -->"]);
    }

    #[test]
    fn an_unknown_language_is_only_escaped() {
        let mut out = String::new();
        write_html("a < b", "brainfuck", &mut out);
        assert_eq!(out, "a &lt; b");
    }

    proptest! {
        #[test]
        fn the_pieces_together_are_the_code(
            code in r#"([ -~\n\t]|[\"'`/*#$<>é世]|"""|r#"|/\*|<!--){0,120}"#,
            language in 0..languages::ALL.len(),
        ) {
            let pieces = pieces(&code, &languages::ALL[language]);
            prop_assert_eq!(pieces.iter().map(|(_, text)| *text).collect::<String>(), code);
        }
    }
}
