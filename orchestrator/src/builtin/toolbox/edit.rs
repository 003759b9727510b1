//! Replaces text in a file, or tells the model how to say better what it means.

/// Replaces `old` by `new`. Returns the text and the number of places.
///
/// # Errors
/// In words for the model.
pub(super) fn replace(
    text: &str,
    old: &str,
    new: &str,
    all: bool,
) -> Result<(String, usize), String> {
    if old.is_empty() {
        return Err("old_string is empty. To make a new file, use write.".into());
    }
    if old == new {
        return Err("old_string and new_string are the same.".into());
    }
    match text.matches(old).count() {
        0 if text.contains("\r\n") && !old.contains('\r') && old.contains('\n') => {
            // Models don't see what ends a line.
            let (old, new) = (old.replace('\n', "\r\n"), new.replace('\n', "\r\n"));
            match text.contains(&old) {
                true => replace(text, &old, &new, all),
                false => Err(absent(text, &old)),
            }
        }
        0 => Err(absent(text, old)),
        1 => Ok((text.replacen(old, new, 1), 1)),
        places if all => Ok((text.replace(old, new), places)),
        places => Err(format!(
            "old_string stands {places} times in the file. Add lines around it so that it is \
             unique, or set replace_all."
        )),
    }
}

fn absent(text: &str, old: &str) -> String {
    let mut words = "old_string does not stand in the file.".to_owned();
    let first = old.trim().lines().next().unwrap_or_default().trim();
    let similar = |(_, line): &(usize, &str)| !first.is_empty() && line.contains(first);
    if let Some((number, line)) = text.lines().enumerate().find(similar) {
        let line: String = line.chars().take(200).collect();
        words.push_str(&format!(
            " Its first line is like line {}, which is {line:?}: look at the white space and at the \
             lines after it.",
            number + 1
        ));
    } else {
        words.push_str(" Read the file and copy the text exactly.");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_replaced_and_several_only_if_wanted() {
        assert_eq!(replace("a b a", "b", "c", false), Ok(("a c a".into(), 1)));
        assert!(replace("a b a", "a", "c", false).unwrap_err().contains("2 times"));
        assert_eq!(replace("a b a", "a", "c", true), Ok(("c b c".into(), 2)));
    }

    #[test]
    fn what_is_not_there_is_told_with_a_hint() {
        let text = "fn main() {\n    let x = 1;\n}\n";
        let error = replace(text, "let x = 1;\nlet y = 2;", "", false).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        assert!(replace(text, "nothing", "x", false).unwrap_err().contains("Read the file"));
        assert!(replace(text, "", "x", false).unwrap_err().contains("write"));
        assert!(replace(text, "x", "x", false).is_err());
    }

    #[test]
    fn the_line_ends_of_the_file_stay() {
        let edited = replace("a\r\nb\r\nc\r\n", "a\nb", "x\ny", false);
        assert_eq!(edited, Ok(("x\r\ny\r\nc\r\n".into(), 1)));
    }
}
