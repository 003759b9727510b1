//! A long answer in markdown, with everything that markdown has: the same each time.

use super::{
    narrator::{Narrator, Stopped},
    wording::fenced,
};

const TEXT: &str = include_str!("texts/long_answer.md");
/// Above the worked examples, which only a longer answer has.
const APPENDIX: &str = "\n\n## Appendix: permissions, one after the other";
/// The last words, however long the answer is.
const CLOSING: &str = "\n\n---\n\nThat is the long answer. It was put together in advance and not \
    thought up just now; for answers that are, connect a model. The README says how in its section \
    “Connect a model”.";

pub(super) async fn give(narrator: &mut Narrator, length: usize) -> Result<(), Stopped> {
    narrator.say(&text(length)).await
}

/// The text, with worked examples in an appendix until it has the wanted number of characters.
fn text(length: usize) -> String {
    let mut text = TEXT.trim_end().to_owned();
    let mut characters = text.chars().count() + CLOSING.chars().count();
    if characters < length {
        characters += APPENDIX.chars().count();
        text.push_str(APPENDIX);
    }
    for mode in (0..0o1000_u32).rev() {
        if characters >= length {
            break;
        }
        let example = example(mode);
        characters += example.chars().count();
        text.push_str(&example);
    }
    text + CLOSING
}

/// What one set of file permissions means.
fn example(mode: u32) -> String {
    let letters = |bits: u32| {
        let letter = |bit, letter| if bits & bit == 0 { '-' } else { letter };
        [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].iter().collect::<String>()
    };
    let [owner, group, others] = [mode >> 6 & 7, mode >> 3 & 7, mode & 7].map(letters);
    let command = fenced("bash", &format!("chmod {mode:03o} notes.txt\nls -l notes.txt"));
    format!(
        "\n\n### Permissions `{mode:03o}`\n\n\
         | who | letters | read | write | run |\n|---|---|---|---|---|\n{}{}{}\n{command}",
        row("owner", &owner),
        row("group", &group),
        row("others", &others),
    )
}

fn row(who: &str, letters: &str) -> String {
    let yes = |letter| if letters.contains(letter) { "yes" } else { "no" };
    format!("| {who} | `{letters}` | {} | {} | {} |\n", yes('r'), yes('w'), yes('x'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_asked_for_and_always_the_same() {
        for length in [1_000, 9_000, 24_000] {
            let answer = text(length);
            let characters = answer.chars().count();
            assert!(characters >= length && characters < length + 9_000, "{characters}");
            assert_eq!(answer, text(length));
            assert!(answer.ends_with(CLOSING), "the closing words are the last: {length}");
        }
    }

    #[test]
    fn the_answer_has_every_kind_of_markdown() {
        for sign in [
            "\n## ",
            "\n- ",
            "\n1. ",
            "| --- |",
            "```rust",
            "```python",
            "```bash",
            "](https://",
            "\n> ",
            "**",
            "`",
        ] {
            assert!(TEXT.contains(sign), "{sign}");
        }
    }

    #[test]
    fn permissions_are_spelled_right() {
        let text = example(0o640);
        assert!(text.contains("`rw-`") && text.contains("`r--`") && text.contains("`---`"));
    }
}
