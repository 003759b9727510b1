//! The little XML that the S3 protocol speaks.

/// Texts of all elements of a name that hold nothing but text, in their order.
pub(super) fn texts<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(open.as_str())?;
        let (text, after) = after.split_once(close.as_str())?;
        rest = after;
        Some(unescape(text))
    })
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    // Last, so that nothing is taken for an escape that was none.
    plain.replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_order_and_unescaped() {
        let xml = "<L><K>a&amp;b</K><N>x</N><K>&lt;&amp;lt;&quot;</K><K>cut off";
        assert_eq!(texts(xml, "K").collect::<Vec<_>>(), ["a&b", "<&lt;\""]);
        assert_eq!(texts(xml, "M").count(), 0);
        assert_eq!(
            texts(&format!("<K>{}</K>", escape("\"a\"<&>")), "K").next().unwrap(),
            "\"a\"<&>"
        );
    }
}
