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
        let inside = text[..start].chars().next_back().is_some_and(char::is_alphanumeric);
        let end = rest.find(|c: char| c.is_whitespace() || "<>\"`|\\^{}".contains(c));
        let mut address = &rest[..end.unwrap_or(rest.len())];
        loop {
            let open = address.matches('(').count();
            let close = address.matches(')').count();
            let trimmed = address.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
            let trimmed =
                if close > open { trimmed.strip_suffix(')').unwrap_or(trimmed) } else { trimmed };
            if trimmed.len() == address.len() {
                break;
            }
            address = trimmed;
        }
        if !inside && address.len() > scheme.len() && allowed(address).is_some() {
            return Some((start, start + address.len()));
        }
    }
    None
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
    }
}
