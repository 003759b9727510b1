//! Which addresses a link may lead to.

/// Longest address that becomes a link.
const MAX_LENGTH: usize = 2048;

/// The address, if a link may lead there. A relative one may not: what an agent writes knows nothing
/// of this site's pages.
pub(super) fn allowed(address: &str) -> Option<&str> {
    let address = address.trim();
    if address.len() > MAX_LENGTH || address.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let (scheme, rest) = address.split_once(':')?;
    let web = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let mail = scheme.eq_ignore_ascii_case("mailto");
    ((web && rest.starts_with("//") && rest.len() > 2) || (mail && !rest.is_empty()))
        .then_some(address)
}

/// The first bare web address in a text: where it begins and ends. The full stop or bracket that
/// closes a sentence is not part of it.
pub(super) fn find(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("http") {
        let start = from + found;
        let rest = &text[start..];
        from = start + 4;
        let scheme = ["https://", "http://"].into_iter().find(|known| rest.starts_with(known));
        let Some(scheme) = scheme else { continue };
        if text[..start].chars().next_back().is_some_and(char::is_alphanumeric) {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || "<>\"`|\\^{}".contains(c));
        let end = end.unwrap_or(rest.len());
        // What looks like another address in here is a part of this one: every character is looked
        // at once, however many there are.
        from = start + end;
        if end > MAX_LENGTH {
            continue;
        }
        let address = sentence_end_left_out(&rest[..end]);
        if address.len() > scheme.len() && allowed(address).is_some() {
            return Some((start, start + address.len()));
        }
    }
    None
}

/// The address without the punctuation behind it, and without brackets that it does not open.
fn sentence_end_left_out(address: &str) -> &str {
    let open = address.matches('(').count();
    let mut close = address.matches(')').count();
    let mut end = address.len();
    for c in address.chars().rev() {
        match c {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' => {}
            ')' if close > open => close -= 1,
            _ => break,
        }
        // All of these are one byte long.
        end -= 1;
    }
    &address[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_and_mail_addresses_are_links() {
        for good in ["https://a.example/?q=1#x", "HTTP://a", "mailto:a@b.example"] {
            assert_eq!(allowed(good), Some(good));
        }
        for bad in [
            "javascript:alert(1)",
            "java\nscript:x",
            " data:text/html,x",
            "vbscript:x",
            "/chat/1",
            "//evil.example",
            "https:evil",
            "file:///etc/passwd",
            "https://a b",
            "",
            "mailto:",
        ] {
            assert_eq!(allowed(bad), None, "{bad:?}");
        }
        assert_eq!(allowed(&format!("https://a/{}", "x".repeat(3000))), None);
    }

    #[test]
    fn a_bare_address_ends_before_the_sentence_does() {
        let found = |text: &'static str| find(text).map(|(start, end)| &text[start..end]);
        assert_eq!(found("see https://a.example/b_c."), Some("https://a.example/b_c"));
        assert_eq!(found("(https://a.example/x)"), Some("https://a.example/x"));
        assert_eq!(found("https://a.example/x_(y)"), Some("https://a.example/x_(y)"));
        assert_eq!(found("http and https:// alone"), None);
        assert_eq!(found("(see https://a.example/x_(y)).)"), Some("https://a.example/x_(y)"));
        assert_eq!(found("xhttps://a.example https://b.example"), Some("https://b.example"));
    }

    /// Looked at again from each of its addresses, or once for each bracket, these would take hours.
    #[test]
    fn a_text_of_nothing_but_addresses_is_read_once() {
        for piece in ["http://", "(http://a", "xhttp://a", "http://a,"] {
            let text = piece.repeat(200_000) + &")".repeat(200_000);
            assert_eq!(find(&text), None, "{piece}");
        }
        let brackets = format!("http://a{} http://b ", ").".repeat(1_000)).repeat(200);
        let mut rest = brackets.as_str();
        let mut links = 0;
        while let Some((_, end)) = find(rest) {
            rest = &rest[end..];
            links += 1;
        }
        assert_eq!(links, 400);
    }
}
