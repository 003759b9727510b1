//! A question that the person wants to be asked.

use super::words::after;

/// A question, and the answers that it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::demo) struct Asked {
    pub(in crate::demo) question: String,
    pub(in crate::demo) options: Vec<String>,
}

/// What stands between two options.
const JOINTS: [&str; 2] = [" or ", ", "];
/// Most options of a question.
const MOST: usize = 8;

impl Asked {
    /// `ask me which colour to use: red, green or blue`, `ask me tea or coffee`, `ask me my name`.
    pub(super) fn read(message: &str, lower: &str) -> Option<Self> {
        let begin = if lower.starts_with("please ") { "please ".len() } else { 0 };
        if !lower.get(begin..)?.starts_with("ask me") {
            return None;
        }
        let (_, rest) = after(message, lower, "ask me")?;
        let rest = rest.trim().trim_end_matches(['.', '?', '!']).trim();
        if matches!(rest.to_lowercase().as_str(), "" | "something" | "a question" | "anything") {
            return Some(Self::usual());
        }
        let (question, options) = match rest.split_once(':') {
            Some(("", options)) => (options, split(options)),
            Some((question, options)) => (question, split(options)),
            None => (rest, split(rest)),
        };
        let options = if (2..=MOST).contains(&options.len()) { options } else { Vec::new() };
        Some(Self { question: sentence(question), options })
    }

    /// To somebody who names no question.
    fn usual() -> Self {
        let options = ["Apple", "Pear", "Plum"].map(str::to_owned).to_vec();
        Self { question: "Which fruit do you like best?".to_owned(), options }
    }
}

fn split(text: &str) -> Vec<String> {
    let mut texts = vec![text.to_owned()];
    for joint in JOINTS {
        texts = texts.iter().flat_map(|text| text.split(joint)).map(str::to_owned).collect();
    }
    let options = texts.iter().map(|text| text.trim().trim_matches(['"', '`', ',']).trim());
    options.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// With a capital letter and a question mark.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('?').trim_end();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}?", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    fn read(message: &str) -> (String, Vec<String>) {
        match Request::parse(message) {
            Request::Ask(Asked { question, options }) => (question, options),
            other => panic!("{message}: {other:?}"),
        }
    }

    #[test]
    fn options_stand_after_a_colon_or_are_the_question() {
        for (message, question, options) in [
            (
                "Ask me which colour to use: red, dark green or blue.",
                "Which colour to use?",
                vec!["red", "dark green", "blue"],
            ),
            ("please ask me tea or coffee?", "Tea or coffee?", vec!["tea", "coffee"]),
            ("ask me: yes, or no", "Yes, or no?", vec!["yes", "no"]),
            ("ask me what my name is", "What my name is?", vec![]),
            ("ask me something", "Which fruit do you like best?", vec!["Apple", "Pear", "Plum"]),
        ] {
            let expected = options.into_iter().map(str::to_owned).collect();
            assert_eq!(read(message), (question.to_owned(), expected));
        }
    }
}
