//! Keeps an answer within the origin of its port.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{LOCATION, SET_COOKIE},
};

/// Cookies are for this origin alone: one for the domain above it would be sent to other ports, and to
/// pages that are nobody's sandbox. What leads to the program's own address, as it was told, leads here.
pub(super) fn keep_within(headers: &mut HeaderMap, port: u16) {
    let cookies: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter_map(own_cookie).collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    if let Some(place) = headers.get(LOCATION).and_then(|place| own_place(place, port)) {
        headers.insert(LOCATION, place);
    }
}

/// The cookie without the domain that it names.
fn own_cookie(cookie: &HeaderValue) -> Option<HeaderValue> {
    let is_domain = |attribute: &[u8]| {
        let name = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    };
    let parts = cookie.as_bytes().split(|byte| *byte == b';').enumerate();
    // The first is the cookie itself.
    let kept = parts.filter(|(number, part)| *number == 0 || !is_domain(part));
    let kept: Vec<&[u8]> = kept.map(|(_, part)| part).collect();
    HeaderValue::from_bytes(&kept.join(&b';')).ok()
}

/// The path of a URL that names the program's own address; `None` for any other.
fn own_place(place: &HeaderValue, port: u16) -> Option<HeaderValue> {
    let place = place.to_str().ok()?;
    let place = place.strip_prefix("http://").or_else(|| place.strip_prefix("https://"))?;
    let path = place.strip_prefix("localhost:")?.strip_prefix(&port.to_string())?;
    match path.as_bytes() {
        // It would be another host.
        [b'/', b'/' | b'\\', ..] => None,
        [b'/', ..] => HeaderValue::from_str(path).ok(),
        [] | [b'?' | b'#', ..] => HeaderValue::from_str(&format!("/{path}")).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_the_ports_own_origin_alone() {
        let mut headers = HeaderMap::new();
        for cookie in [
            "a=1; Domain=example.com; Path=/",
            "b=2;DOMAIN =.example.com",
            "domain=3",
            "c=4; Secure",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        keep_within(&mut headers, 3000);
        let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(kept, ["a=1; Path=/", "b=2", "domain=3", "c=4; Secure"]);
    }

    #[test]
    fn what_leads_to_the_programs_own_address_leads_to_the_origin() {
        for (place, expected) in [
            ("http://localhost:3000/a?b", "/a?b"),
            ("https://localhost:3000", "/"),
            ("http://localhost:3000?a", "/?a"),
            ("http://localhost:30000/a", "http://localhost:30000/a"),
            ("http://localhost:3000//a.example", "http://localhost:3000//a.example"),
            ("http://localhost:3000/\\a.example", "http://localhost:3000/\\a.example"),
            ("http://localhost:3000@a.example/", "http://localhost:3000@a.example/"),
            ("https://a.example/", "https://a.example/"),
            ("/a", "/a"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(place));
            keep_within(&mut headers, 3000);
            assert_eq!(headers[LOCATION], expected);
        }
    }
}
