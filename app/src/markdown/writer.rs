//! Writes the HTML of a block from the parser's events. Every tag there can be stands in this file.

use pulldown_cmark::{
    Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd, TextMergeStream,
};

use super::{escape, href};
use crate::highlight;

/// Deepest nesting that is written. Browsers flatten deeper trees anyway, and slowly.
const MAX_DEPTH: usize = 24;

/// Writes prose.
pub(super) fn prose(text: &str, html: &mut String) {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer {
        html,
        depth: 0,
        code: None,
        links: Vec::new(),
        alignments: Vec::new(),
        column: 0,
        head: false,
    };
    for event in TextMergeStream::new(Parser::new_ext(text, options)) {
        writer.event(event);
    }
}

/// Writes a block of code with its language and a button to copy it.
pub(super) fn code(language: &str, code: &str, html: &mut String) {
    html.push_str("<figure class=\"code\"><figcaption><span>");
    escape(if language.is_empty() { "text" } else { language }, html);
    html.push_str(
        "</span><button type=\"button\" class=\"quiet needs-js\" data-copy=\"\">Copy</button>\
         </figcaption><pre tabindex=\"0\"><code>",
    );
    highlight::write_html(code.strip_suffix('\n').unwrap_or(code), language, html);
    html.push_str("</code></pre></figure>");
}

struct Writer<'a> {
    html: &'a mut String,
    /// Open elements. Those beyond the limit are counted but not written.
    depth: usize,
    /// Language and text of the block of code that is being read.
    code: Option<(String, String)>,
    /// Links around this place, and whether each was written.
    links: Vec<bool>,
    alignments: Vec<Alignment>,
    column: usize,
    head: bool,
}

impl Writer<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => {
                self.html.push_str("<code>");
                escape(&text, self.html);
                self.html.push_str("</code>");
            }
            // Markup in the text is text.
            Event::Html(text) | Event::InlineHtml(text) => escape(&text, self.html),
            Event::SoftBreak => self.html.push('\n'),
            Event::HardBreak => self.html.push_str("<br>"),
            Event::Rule => self.html.push_str("<hr>"),
            Event::TaskListMarker(done) => self.html.push_str(if done {
                "<span class=\"task done\" role=\"img\" aria-label=\"Done\"></span>"
            } else {
                "<span class=\"task\" role=\"img\" aria-label=\"To do\"></span>"
            }),
            Event::FootnoteReference(_) | Event::InlineMath(_) | Event::DisplayMath(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some((_, code)) = &mut self.code {
            return code.push_str(text);
        }
        let mut rest = text;
        while self.links.is_empty()
            && let Some((start, end)) = href::find(rest)
        {
            escape(&rest[..start], self.html);
            self.open_link(&rest[start..end]);
            escape(&rest[start..end], self.html);
            self.html.push_str("</a>");
            rest = &rest[end..];
        }
        escape(rest, self.html);
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => {
                        info.split(char::is_whitespace).next().unwrap_or_default().to_owned()
                    }
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((language, String::new()));
            }
            // An image is never loaded: its address could carry away what the agent has read.
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                let address = href::allowed(&dest_url).filter(|_| self.links.is_empty());
                if let Some(address) = address {
                    self.open_link(address);
                }
                self.links.push(address.is_some());
            }
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.open("<div class=\"scroll\" tabindex=\"0\"><table>");
            }
            Tag::TableHead => {
                (self.head, self.column) = (true, 0);
                self.open("<thead><tr>");
            }
            Tag::TableRow => {
                self.column = 0;
                self.open("<tr>");
            }
            Tag::TableCell => self.open_cell(),
            Tag::List(Some(first)) if first != 1 => self.open(&format!("<ol start=\"{first}\">")),
            Tag::List(first) => self.open(if first.is_some() { "<ol>" } else { "<ul>" }),
            Tag::Heading { level, .. } => self.open(heading(level).0),
            Tag::Paragraph => self.open("<p>"),
            Tag::BlockQuote(_) => self.open("<blockquote>"),
            Tag::Item => self.open("<li>"),
            Tag::Emphasis => self.open("<em>"),
            Tag::Strong => self.open("<strong>"),
            Tag::Strikethrough => self.open("<del>"),
            _ => self.open(""),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock => {
                if let Some((language, text)) = self.code.take() {
                    code(&language, &text, self.html);
                }
            }
            TagEnd::Link | TagEnd::Image => {
                if self.links.pop() == Some(true) {
                    self.html.push_str("</a>");
                }
            }
            TagEnd::Table => self.close("</tbody></table></div>"),
            TagEnd::TableHead => {
                self.head = false;
                self.close("</tr></thead><tbody>");
            }
            TagEnd::TableRow => self.close("</tr>"),
            TagEnd::TableCell => {
                self.column += 1;
                self.close(if self.head { "</th>" } else { "</td>" });
            }
            TagEnd::List(ordered) => self.close(if ordered { "</ol>" } else { "</ul>" }),
            TagEnd::Heading(level) => self.close(heading(level).1),
            TagEnd::Paragraph => self.close("</p>"),
            TagEnd::BlockQuote(_) => self.close("</blockquote>"),
            TagEnd::Item => self.close("</li>"),
            TagEnd::Emphasis => self.close("</em>"),
            TagEnd::Strong => self.close("</strong>"),
            TagEnd::Strikethrough => self.close("</del>"),
            _ => self.close(""),
        }
    }

    fn open_cell(&mut self) {
        let name = if self.head { "th" } else { "td" };
        let class = match self.alignments.get(self.column) {
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::Center) => " class=\"center\"",
            _ => "",
        };
        self.open(&format!("<{name}{class}>"));
    }

    fn open_link(&mut self, address: &str) {
        self.html.push_str("<a href=\"");
        escape(address, self.html);
        self.html.push_str("\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">");
    }

    fn open(&mut self, tag: &str) {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            self.html.push_str(tag);
        }
    }

    fn close(&mut self, tag: &str) {
        if self.depth <= MAX_DEPTH {
            self.html.push_str(tag);
        }
        self.depth = self.depth.saturating_sub(1);
    }
}

/// The page's own headings come first, so that a message's begin one level deeper.
fn heading(level: HeadingLevel) -> (&'static str, &'static str) {
    match level {
        HeadingLevel::H1 => ("<h2>", "</h2>"),
        HeadingLevel::H2 => ("<h3>", "</h3>"),
        HeadingLevel::H3 => ("<h4>", "</h4>"),
        HeadingLevel::H4 => ("<h5>", "</h5>"),
        HeadingLevel::H5 | HeadingLevel::H6 => ("<h6>", "</h6>"),
    }
}
