//! Markdown to HTML that is safe to put into the page, the same on the server and in the browser.
//!
//! The HTML is built from an allow-list and from nothing else: markup in the text is shown as text,
//! links lead to `http`, `https` and `mailto` only, images never load. A text is cut into blocks
//! first (see [`blocks`]), so that one that is still growing gives the same HTML as the finished one.

mod blocks;
mod href;
mod live;
mod tail;
mod writer;

pub use live::{LiveMarkdown, Step};

use blocks::{Block, Blocks};

/// The HTML of a whole text.
pub fn render(text: &str) -> String {
    let mut blocks = Blocks::default();
    let mut finished = blocks.push(text);
    finished.extend(blocks.finish());
    let mut html = String::with_capacity(text.len() * 2);
    for block in &finished {
        write_block(block, &mut html);
    }
    html
}

fn write_block(block: &Block, html: &mut String) {
    match block {
        Block::Prose(text) => writer::prose(text, html),
        Block::Code { language, code } => writer::code(language, code, html),
    }
}

/// Writes text so that it is text, in an element as well as in a quoted attribute.
pub fn escape(text: &str, html: &mut String) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        html.push_str(&text[from..at]);
        html.push_str(entity);
        from = at + 1;
    }
    html.push_str(&text[from..]);
}

#[cfg(test)]
mod tests;
