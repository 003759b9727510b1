//! Makes the end of a growing text presentable: what is certainly half-written is closed or left out
//! for the moment, so that markers do not flicker. Only what is shown meanwhile comes from here.

/// The open block as it should look now.
pub(super) fn presentable(open: &str) -> String {
    // A table is one only from its second line on; until then its bars say nothing to a reader.
    let lines = open.trim_start_matches('\n');
    if lines.starts_with('|') && lines.trim_end().lines().count() < 2 {
        return String::new();
    }
    let mut text = open.to_owned();
    let last = text.rfind('\n').map_or(0, |at| at + 1);
    // A marker at the end of the last line may still become anything.
    let line = &text[last..];
    let bare = line.trim_start_matches([' ', '>']);
    let marker = matches!(bare.trim_end(), "#" | "##" | "###" | "-" | "*" | "+" | "--" | "=");
    let fence = bare.starts_with("``") || bare.starts_with("~~~") || bare == "`";
    if marker || fence {
        text.truncate(last);
    }
    hide_open_link(&mut text);
    let paragraph = text.rfind("\n\n").map_or(0, |at| at + 2);
    let end = closing(&text[paragraph..]);
    if !end.is_empty() {
        let kept = text.trim_end_matches(['*', '~', ' ']).len().max(paragraph);
        // `**` at the very end opens nothing yet.
        if text[paragraph..kept].is_empty() || closing(&text[paragraph..kept]) != end {
            text.truncate(kept);
        } else {
            text.truncate(text.trim_end_matches(' ').len());
            text.push_str(end);
        }
    }
    text
}

/// What closes the inline marker that is open at the end of a paragraph.
fn closing(paragraph: &str) -> &'static str {
    let (mut code, mut strong, mut strike) = (false, false, false);
    let mut rest = paragraph;
    while let Some(next) = rest.chars().next() {
        let step = if next == '`' {
            code = !code;
            1
        } else if code {
            next.len_utf8()
        } else if rest.starts_with("**") {
            strong = !strong;
            2
        } else if rest.starts_with("~~") {
            strike = !strike;
            2
        } else if next == '\\' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            next.len_utf8()
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    match (code, strong, strike) {
        (true, ..) => "`",
        (_, true, _) => "**",
        (_, _, true) => "~~",
        _ => "",
    }
}

/// Shows the words of a link whose address is still being written, without brackets.
fn hide_open_link(text: &mut String) {
    let Some(open) = text.rfind('[') else { return };
    let rest = &text[open..];
    if rest.contains('\n') || rest.len() > 2048 {
        return;
    }
    let words = match rest.find("](") {
        Some(close) if !rest[close..].contains(')') => rest[1..close].to_owned(),
        None if !rest.contains(']') => rest[1..].to_owned(),
        _ => return,
    };
    // The mark of an image goes with its bracket.
    let start = open - usize::from(text[..open].ends_with('!'));
    text.truncate(start);
    text.push_str(&words);
}

#[cfg(test)]
mod tests {
    use super::presentable;

    #[test]
    fn an_open_marker_is_closed_for_the_moment() {
        assert_eq!(presentable("so **very"), "so **very**");
        assert_eq!(presentable("run `car"), "run `car`");
        assert_eq!(presentable("a ~~b"), "a ~~b~~");
        assert_eq!(presentable("done **bold** and"), "done **bold** and");
    }

    #[test]
    fn a_marker_without_anything_behind_it_is_left_out() {
        assert_eq!(presentable("so **"), "so");
        assert_eq!(presentable("text\n#"), "text\n");
        assert_eq!(presentable("- one\n-"), "- one\n");
        assert_eq!(presentable("text\n```ru"), "text\n");
    }

    #[test]
    fn half_a_link_is_its_words() {
        assert_eq!(presentable("see [the do"), "see the do");
        assert_eq!(presentable("see [the docs](https://a.ex"), "see the docs");
        assert_eq!(presentable("see ![pic](ht"), "see pic");
        assert_eq!(presentable("see [x](y) z"), "see [x](y) z");
    }

    #[test]
    fn a_table_waits_for_its_second_line() {
        assert_eq!(presentable("| a | b"), "");
        assert_eq!(presentable("| a | b |\n|--"), "| a | b |\n|--");
    }
}
