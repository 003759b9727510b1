//! Thoughts that a model writes into its text, between `<think>` and `</think>`, because what serves
//! it does not know them.

use super::Piece;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";
/// As the field of such a thought: it is not sent back.
const FIELD: &str = "tags";

#[derive(Debug, Default)]
pub(super) struct ThinkTags {
    state: State,
    /// What may be the beginning of a tag.
    held: String,
    /// White space between a tag and the first word after it means nothing.
    after_tag: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Only the very first word of an answer may be a tag.
    #[default]
    Start,
    Thinking,
    Text,
}

impl ThinkTags {
    pub(super) fn read(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        if self.state == State::Start {
            let begun = self.held.trim_start();
            if let Some(thought) = begun.strip_prefix(OPEN) {
                self.enter(State::Thinking, thought.to_owned());
            } else if OPEN.starts_with(begun) {
                return pieces;
            } else {
                self.state = State::Text;
            }
        }
        self.skip_space();
        if self.state == State::Thinking {
            if let Some((thought, rest)) = self.held.split_once(CLOSE) {
                pieces.extend(thinking(thought.to_owned()));
                let rest = rest.to_owned();
                self.enter(State::Text, rest);
                self.skip_space();
            } else {
                let sure = self.held.len() - held_back(&self.held);
                pieces.extend(thinking(self.held.drain(..sure).collect()));
            }
        }
        if self.state == State::Text && !self.held.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut self.held)));
        }
        pieces
    }

    fn enter(&mut self, state: State, rest: String) {
        self.state = state;
        self.held = rest;
        self.after_tag = true;
    }

    fn skip_space(&mut self) {
        if self.after_tag {
            self.held = self.held.trim_start().to_owned();
            self.after_tag = self.held.is_empty();
        }
    }

    /// What was held back, when nothing more comes.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Thinking => thinking(held),
            State::Start | State::Text => (!held.is_empty()).then_some(Piece::Text(held)),
        }
    }
}

fn thinking(text: String) -> Option<Piece> {
    (!text.is_empty()).then_some(Piece::Thinking(text, FIELD))
}

/// Bytes at the end that may be the beginning of the closing tag.
fn held_back(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|length| text.ends_with(&CLOSE[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, size: usize) -> (String, String) {
        let mut tags = ThinkTags::default();
        let characters: Vec<char> = text.chars().collect();
        let mut pieces: Vec<Piece> = characters
            .chunks(size)
            .flat_map(|chunk| tags.read(&chunk.iter().collect::<String>()))
            .collect();
        pieces.extend(tags.finish());
        let (mut thought, mut said) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Thinking(text, FIELD) => thought.push_str(&text),
                Piece::Text(text) => said.push_str(&text),
                other => panic!("{other:?}"),
            }
        }
        (thought, said)
    }

    #[test]
    fn thoughts_are_told_from_text_however_the_text_was_cut() {
        for size in 1..40 {
            let (thought, said) = read("\n<think>\na < b </thin or so ä</think>\n\nIt is b.", size);
            assert_eq!((thought.as_str(), said.as_str()), ("a < b </thin or so ä", "It is b."));
        }
    }

    #[test]
    fn text_that_only_speaks_of_tags_stays_text() {
        for text in ["Use <think> tags.", "<th", "", "<b>x</b> </think>"] {
            for size in 1..10 {
                assert_eq!(read(text, size), (String::new(), text.to_owned()));
            }
        }
    }
}
