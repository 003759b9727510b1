//! Cuts a growing markdown text into blocks that no later text can change.
//!
//! Decisions are taken on whole lines only, and on lengths, so that the cuts do not depend on the
//! pieces in which the text comes. A cut too few is harmless: the block is merely parsed as one.

/// Prose longer than this is cut at a line, or inside a line that alone is longer. It bounds what is
/// parsed again while a block grows.
const MAX_PROSE: usize = 16 * 1024;

/// A finished block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Markdown without a fence at its top level.
    Prose(String),
    /// A fenced block, without its fences.
    Code { language: String, code: String },
}

/// The cutter. `open` text is not part of any finished block yet.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Whole lines of the block that is open.
    lines: String,
    /// The line that has not ended yet.
    line: String,
    fence: Option<Fence>,
    /// The open block begins with a list, which goes on over blank lines.
    list: bool,
    /// The last whole line was blank: the next one may begin another block.
    blank: bool,
}

#[derive(Clone, Debug)]
struct Fence {
    mark: char,
    length: usize,
    language: String,
}

impl Blocks {
    /// Takes more text; gives the blocks that it finished.
    pub(super) fn push(&mut self, text: &str) -> Vec<Block> {
        let mut finished = Vec::new();
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece);
            self.cut_long(&mut finished);
            if self.line.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, &mut finished);
            }
        }
        finished
    }

    /// Takes what is open as finished.
    pub(super) fn finish(&mut self) -> Vec<Block> {
        let mut finished = Vec::new();
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, &mut finished);
        }
        self.close(&mut finished);
        finished
    }

    /// Language and code of the fence that is open, as far as it is certain: a last line that may
    /// become the closing fence is left out.
    pub(super) fn open_code(&self) -> Option<(&str, &str, &str)> {
        let fence = self.fence.as_ref()?;
        let undecided = closes_or_may(&self.line, fence);
        Some((&fence.language, &self.lines, if undecided { "" } else { &self.line }))
    }

    /// Prose that is open.
    pub(super) fn open_prose(&self) -> String {
        format!("{}{}", self.lines, self.line)
    }

    fn take_line(&mut self, line: &str, finished: &mut Vec<Block>) {
        if let Some(fence) = &self.fence {
            if closes(line, fence) {
                self.close(finished);
            } else {
                self.lines.push_str(line);
            }
            return;
        }
        if line.trim().is_empty() {
            self.blank = true;
            if !self.lines.is_empty() {
                self.lines.push_str(line);
            }
            return;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        let item = is_list_item(line);
        // Inside a list an indented fence belongs to an item.
        if (indent == 0 || indent < 4 && !self.list)
            && let Some(fence) = opens(line)
        {
            self.close(finished);
            self.fence = Some(fence);
            return;
        }
        let goes_on = line.starts_with([' ', '\t']) || (self.list && item);
        if self.blank && !goes_on {
            self.close(finished);
        }
        if self.lines.is_empty() {
            self.list = item;
        }
        self.blank = false;
        self.lines.push_str(line);
    }

    /// Keeps open prose short, whatever the lines are.
    fn cut_long(&mut self, finished: &mut Vec<Block>) {
        if self.fence.is_some() || self.lines.len() + self.line.len() <= MAX_PROSE {
            return;
        }
        self.close(finished);
        while self.line.len() > MAX_PROSE {
            let rest = self.line.split_off(self.line.floor_char_boundary(MAX_PROSE));
            finished.push(Block::Prose(std::mem::replace(&mut self.line, rest)));
        }
    }

    fn close(&mut self, finished: &mut Vec<Block>) {
        let text = std::mem::take(&mut self.lines);
        if let Some(fence) = self.fence.take() {
            finished.push(Block::Code { language: fence.language, code: text });
        } else if !text.trim().is_empty() {
            finished.push(Block::Prose(text));
        }
        self.list = false;
        self.blank = false;
    }
}

/// The fence that a line opens. The info string of backticks holds no backtick: that is inline code.
fn opens(line: &str) -> Option<Fence> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = line.trim_start_matches(mark);
    let length = line.len() - info.len();
    if length < 3 || (mark == '`' && info.contains('`')) {
        return None;
    }
    let language = info.trim().split(char::is_whitespace).next().unwrap_or_default();
    Some(Fence { mark, length, language: language.chars().take(40).collect() })
}

fn closes(line: &str, fence: &Fence) -> bool {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let line = line.trim();
    indent < 4 && line.len() >= fence.length && line.chars().all(|c| c == fence.mark)
}

fn closes_or_may(line: &str, fence: &Fence) -> bool {
    line.trim().chars().all(|c| c == fence.mark)
}

fn is_list_item(line: &str) -> bool {
    let line = line.trim_start_matches(' ');
    let after = line.strip_prefix(['-', '*', '+']).or_else(|| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = line.len() - rest.len();
        if (1..10).contains(&digits) { rest.strip_prefix(['.', ')']) } else { None }
    });
    after.is_some_and(|after| after.starts_with([' ', '\t', '\n', '\r']) || after.is_empty())
}
