//! A text that grows: what to do to the page so that it shows it.

use super::blocks::Blocks;
use super::{tail, write_block, writer};

/// One change to the element that shows the text. Finished HTML stands first in it, once; behind it
/// stands the tail, which is replaced whole, or, for code, only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Put HTML behind what is finished, and empty the tail.
    Finish(String),
    /// The tail is this HTML now.
    Tail(String),
    /// The code in the tail grew by this text.
    Grow(String),
}

/// Follows one text. Every finished block is rendered once.
#[derive(Debug, Default)]
pub struct LiveMarkdown {
    blocks: Blocks,
    finished: String,
    /// HTML of the tail, while it shows prose.
    shown_tail: String,
    /// Bytes of the open code that the tail shows, while it shows code.
    shown_code: Option<usize>,
}

impl LiveMarkdown {
    /// Takes more text. Cheap: the open block is rendered by `steps` only.
    pub fn push(&mut self, text: &str) {
        for block in self.blocks.push(text) {
            write_block(&block, &mut self.finished);
            self.shown_code = None;
        }
    }

    /// What has to be done since the last call, in order.
    pub fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.finished.is_empty() {
            steps.push(Step::Finish(std::mem::take(&mut self.finished)));
            self.shown_tail.clear();
        }
        let Some((language, lines, line)) = self.blocks.open_code() else {
            self.shown_code = None;
            let mut html = String::new();
            writer::prose(&tail::presentable(&self.blocks.open_prose()), &mut html);
            if html != self.shown_tail {
                steps.push(Step::Tail(html.clone()));
                self.shown_tail = html;
            }
            return steps;
        };
        let total = lines.len() + line.len();
        let shown = *self.shown_code.get_or_insert_with(|| {
            let mut html = String::new();
            writer::code(language, "", &mut html);
            steps.push(Step::Tail(html));
            self.shown_tail.clear();
            0
        });
        if total > shown {
            let lines = lines.get(shown..).unwrap_or_default();
            let line = line.get(line.len().saturating_sub(total - shown)..).unwrap_or_default();
            steps.push(Step::Grow(format!("{lines}{line}")));
            self.shown_code = Some(total);
        }
        steps
    }

    /// The text has ended: what is open is finished as it stands.
    pub fn finish(&mut self) -> Step {
        for block in self.blocks.finish() {
            write_block(&block, &mut self.finished);
        }
        self.shown_code = None;
        self.shown_tail.clear();
        Step::Finish(std::mem::take(&mut self.finished))
    }
}
