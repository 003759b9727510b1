use proptest::prelude::*;

use super::*;

/// What the page shows after some steps, without a page.
#[derive(Debug, Default)]
struct Shown {
    finished: String,
    tail: String,
}

impl Shown {
    fn take(&mut self, step: Step) {
        match step {
            Step::Finish(html) => {
                self.finished.push_str(&html);
                self.tail.clear();
            }
            Step::Tail(html) => self.tail = html,
            Step::Grow(text) => {
                let at = self.tail.rfind("</code>").unwrap();
                let mut html = String::new();
                escape(&text, &mut html);
                self.tail.insert_str(at, &html);
            }
        }
    }
}

fn streamed<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
    let (mut live, mut shown) = (LiveMarkdown::default(), Shown::default());
    for piece in pieces {
        live.push(piece);
        live.steps().into_iter().for_each(|step| shown.take(step));
    }
    shown.take(live.finish());
    assert_eq!(shown.tail, "");
    shown.finished
}

/// Every tag and attribute that may ever stand in the output.
const ALLOWED: &[(&str, &[&str])] = &[
    ("a", &["href", "target", "rel"]),
    ("blockquote", &[]),
    ("br", &[]),
    ("button", &["type", "class", "data-copy"]),
    ("code", &[]),
    ("del", &[]),
    ("div", &["class", "tabindex"]),
    ("em", &[]),
    ("figcaption", &[]),
    ("figure", &["class"]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("hr", &[]),
    ("li", &[]),
    ("ol", &["start"]),
    ("p", &[]),
    ("pre", &["tabindex"]),
    ("span", &["class", "role", "aria-label"]),
    ("strong", &[]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["class"]),
    ("th", &["class"]),
    ("thead", &[]),
    ("tr", &[]),
    ("ul", &[]),
];

/// Reads the output as a browser would and complains about anything that is not allowed.
fn assert_harmless(html: &str) {
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "stray > in {html}");
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "unbalanced in {html}");
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let (_, known) = ALLOWED.iter().find(|(known, _)| *known == name).expect(name);
        while let Some((attribute, after)) = attributes.trim().split_once("=\"") {
            assert!(known.contains(&attribute), "{attribute} on {name}");
            let (value, after) = after.split_once('"').unwrap();
            if attribute == "href" {
                assert!(href::allowed(&value.replace("&amp;", "&")).is_some(), "{value}");
            }
            attributes = after;
        }
        if !matches!(name, "br" | "hr") {
            open.push(name);
        }
    }
    assert!(!rest.contains('>'), "stray > in {html}");
    assert_eq!(open, Vec::<&str>::new(), "left open in {html}");
}

#[test]
fn markup_in_the_text_is_text() {
    let html = render("a <script>alert(1)</script> <img src=x onerror=alert(1)>\n\n<svg onload=x>");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(html.contains("&lt;img src=x"));
    assert_harmless(&html);
}

#[test]
fn a_link_opens_elsewhere_and_tells_nothing() {
    assert_eq!(
        render("[x](https://a.example/?a=1&b=2)"),
        "<p><a href=\"https://a.example/?a=1&amp;b=2\" target=\"_blank\" \
         rel=\"noopener noreferrer nofollow\">x</a></p>"
    );
}

#[test]
fn a_link_that_could_run_code_is_its_words() {
    for bad in ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html;base64,x", "/chat/1"] {
        assert_eq!(render(&format!("[x]({bad})")), "<p>x</p>", "{bad}");
        assert_eq!(render(&format!("[1]: {bad}\n[x][1]")), "<p>x</p>", "{bad}");
    }
}

#[test]
fn an_image_is_a_link_and_never_loads() {
    let html = render("![secret](https://evil.example/?d=1) and ![a](https://e.example/p)");
    assert!(!html.contains("<img"));
    assert!(html.contains("<a href=\"https://evil.example/?d=1\""));
    assert_harmless(&html);
}

#[test]
fn a_badge_is_one_link() {
    let html = render("[![build](https://b.example/x.svg)](https://ci.example/1)");
    assert_eq!(html.matches("<a ").count(), 1);
    assert_harmless(&html);
}

#[test]
fn a_fence_becomes_code_with_its_language_and_a_button() {
    let html = render("Text\n```rust\nlet a = 1;\n```\nmore");
    assert!(html.contains("<figcaption><span>rust</span><button"));
    assert!(html.contains("<span class=\"k\">let</span> a = <span class=\"n\">1</span>;</code>"));
    assert!(html.ends_with("<p>more</p>"));
}

#[test]
fn a_fence_that_never_closes_is_code_to_the_end() {
    let html = render("```\na\n\nb");
    assert!(html.contains("a\n\nb</code>"));
}

#[test]
fn a_list_goes_on_over_blank_lines_and_keeps_its_numbers() {
    assert_eq!(render("1. a\n\n2. b\n\n   more").matches("<ol>").count(), 1);
    assert!(render("7. g\n8. h").starts_with("<ol start=\"7\">"));
}

#[test]
fn a_table_can_be_scrolled_and_has_a_body() {
    let html = render("| a | b |\n|---|--:|\n| 1 | 2 |");
    assert!(html.starts_with("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>a</th>"));
    assert!(html.contains("<tbody><tr><td>1</td><td class=\"right\">2</td></tr></tbody>"));
}

#[test]
fn tasks_are_marks_and_not_controls() {
    let html = render("- [x] one\n- [ ] two");
    assert!(html.contains("aria-label=\"Done\"") && html.contains("aria-label=\"To do\""));
    assert!(!html.contains("<input"));
}

#[test]
fn nesting_has_a_limit() {
    let html = render(&format!("{} deep", ">".repeat(5000)));
    assert!(html.matches("<blockquote>").count() < 30);
    assert_harmless(&html);
}

#[test]
fn a_line_of_a_megabyte_is_harmless() {
    let line = "<b>x</b> ".repeat(120_000);
    let html = render(&line);
    assert!(html.matches("<p>").count() > 50);
    assert_harmless(&html);
}

#[test]
fn a_closing_tag_in_code_stays_code() {
    let html = render("```html\n</script><script>alert(1)</script>\n```");
    assert!(!html.contains("<script"));
    assert_harmless(&html);
}

#[test]
fn a_growing_fence_is_never_parsed_again() {
    let mut live = LiveMarkdown::default();
    live.push("```rust\nlet a");
    assert!(matches!(&live.steps()[..], [Step::Tail(_), Step::Grow(code)] if code == "let a"));
    live.push(" = 1;\n");
    assert_eq!(live.steps(), [Step::Grow(" = 1;\n".into())]);
    live.push("``");
    assert_eq!(live.steps(), []);
    live.push("`\n");
    assert!(matches!(&live.steps()[..], [Step::Finish(html)] if html.contains("class=\"k\"")));
}

/// Text with what makes cuts difficult.
fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\n\n"),
        Just("```"),
        Just("```rust\n"),
        Just("~~~\n"),
        Just("- a\n"),
        Just("  b\n"),
        Just("1. x\n"),
        Just("> q\n"),
        Just("| a | b |\n|---|---|\n| c | d |\n"),
        Just("# h\n"),
        Just("**b** `c` "),
        Just("[l](https://a.example) "),
        Just("<i>x</i> "),
        Just("![i](http://b.example/x)"),
        Just("    code\n"),
        Just("word "),
        Just("é世 "),
        Just("`"),
        Just("*"),
        Just("---\n"),
        Just("\t"),
        Just("[l](javascript:x)"),
        Just("&amp; <"),
        Just("\r\n"),
        Just("<!-- "),
        Just("https://c.example/d_e. "),
        Just("\\"),
        Just("\"'"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_but_the_allow_list_is_ever_written(text in markdown()) {
        assert_harmless(&render(&text));
    }

    #[test]
    fn arbitrary_text_is_harmless(text in any::<String>()) {
        assert_harmless(&render(&text));
    }

    #[test]
    fn any_cutting_of_the_text_gives_the_same_page(
        text in markdown(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut at: Vec<usize> =
            cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        prop_assert_eq!(streamed(at.windows(2).map(|pair| &text[pair[0]..pair[1]])), render(&text));
    }

    #[test]
    fn what_is_shown_meanwhile_is_harmless_too(text in markdown()) {
        let mut live = LiveMarkdown::default();
        live.push(&text);
        for step in live.steps() {
            if let Step::Finish(html) | Step::Tail(html) = step {
                assert_harmless(&html);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn long_lines_are_cut_alike_however_they_come(
        words in prop::collection::vec("[a-z]{1,9} ?\n?", 1..40),
        step in 500usize..9000,
    ) {
        let text = words.concat().repeat(160);
        let pieces = text.as_bytes().chunks(step).map(|piece| std::str::from_utf8(piece).unwrap());
        prop_assert_eq!(streamed(pieces), render(&text));
    }
}
