//! Numbers and states in words.

use crate::model::{Credits, MessageState, ModelOption, Permissions, SandboxState};

/// How long something took, as short as it can be said.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        0..100 => "0.1 s".into(),
        100..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..60_000 => format!("{} s", ms / 1000),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
        _ => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// Whole seconds since `start`, for something that goes on.
pub fn elapsed(start: i64, now: i64) -> String {
    let seconds = (now - start).max(0) / 1000;
    if seconds < 60 { format!("{seconds} s") } else { duration(seconds * 1000) }
}

/// `1 step`, `2 steps`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A number of tokens, its thousands apart.
pub fn tokens(count: u64) -> String {
    format!("{} {}", number(count), if count == 1 { "token" } else { "tokens" })
}

/// A whole number, its thousands apart.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut said = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            said.push('\u{202f}');
        }
        said.push(digit);
    }
    said
}

/// An amount of credits, its thousands apart.
fn amount(credits: Credits) -> String {
    let said = credits.to_string();
    let (whole, rest) = said.split_at(said.find('.').unwrap_or(said.len()));
    whole.parse().map_or_else(|_| said.clone(), |whole| format!("{}{rest}", number(whole)))
}

/// What a model costs and where it runs.
pub fn price(model: &ModelOption) -> String {
    let price = match (model.input, model.output) {
        (Credits(0), Credits(0)) => "free".to_owned(),
        (input, output) => {
            format!("{} in / {} out", amount(input), amount(output))
        }
    };
    if model.local { format!("{price} · on this machine") } else { price }
}

/// A model's own name, and that of who serves it.
pub fn model(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((provider, model)) => {
            let provider = match provider {
                "anthropic" => "Anthropic",
                "openai" => "OpenAI",
                "ollama" => "Ollama",
                "custom" => "Custom",
                other => other,
            };
            (model, provider)
        }
        None => (name, ""),
    }
}

/// What an agent may do, by its name and in more words.
pub fn permissions(permissions: Permissions) -> (&'static str, &'static str) {
    match permissions {
        Permissions::Everything => ("Allow everything", "All that the sandbox allows"),
        Permissions::AskFirst => ("Ask first", "You are asked before commands and edits"),
        Permissions::ReadOnly => ("Read only", "Neither commands nor edits"),
    }
}

/// The state of a sandbox, and the class of its dot.
pub fn sandbox(state: SandboxState) -> (&'static str, &'static str) {
    match state {
        SandboxState::None => ("No sandbox yet", "dot"),
        SandboxState::Provisioning => ("Sandbox starting", "dot starting"),
        SandboxState::Running => ("Sandbox running", "dot running"),
        SandboxState::Stopped => ("Sandbox asleep", "dot"),
        SandboxState::Failed => ("Sandbox failed", "dot failed"),
    }
}

/// How an answer ended, if there is something to say about it.
pub fn ending(state: MessageState, error: Option<&str>) -> Option<String> {
    let said = match state {
        MessageState::Complete => return None,
        MessageState::Stopped => "You stopped this answer. What stands here is kept.",
        // Why it was says what it costs, too.
        MessageState::Interrupted if error.is_some() => "This answer was cut off.",
        MessageState::Interrupted => "This answer was cut off. It costs nothing.",
        MessageState::Failed => "This answer failed.",
    };
    Some(match error {
        // Sentences of their own.
        Some(error) if state == MessageState::Failed => error.into(),
        Some(error) if state != MessageState::Stopped => format!("{said} {error}"),
        _ => said.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_short_as_can_be() {
        let said = [0, 250, 2_449, 11_900, 61_000, 3_720_000].map(duration);
        assert_eq!(said, ["0.1 s", "0.2 s", "2.4 s", "11 s", "1 min 1 s", "1 h 2 min"]);
    }

    #[test]
    fn something_that_goes_on_counts_whole_seconds() {
        assert_eq!(elapsed(1_000, 4_900), "3 s");
        assert_eq!(elapsed(5_000, 1_000), "0 s");
        assert_eq!(elapsed(0, 75_000), "1 min 15 s");
    }

    #[test]
    fn a_price_is_said_with_its_thousands_apart() {
        let model = |input, output, local| ModelOption {
            name: "x/y".into(),
            local,
            context_tokens: None,
            input: Credits(input),
            output: Credits(output),
        };
        let said = |input, output, local| price(&model(input, output, local));
        let dear = said(300_000_000, 1_500_000_000, false);
        assert_eq!(dear, "300 in / 1\u{202f}500 out");
        assert_eq!(said(12_500_000, 1, false), "12.50 in / <0.01 out");
        assert_eq!(said(0, 0, true), "free · on this machine");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn a_model_has_a_name_and_somebody_who_serves_it() {
        assert_eq!(model("anthropic/claude"), ("claude", "Anthropic"));
        assert_eq!(model("custom/meta/llama"), ("meta/llama", "Custom"));
        assert_eq!(model("demo"), ("demo", ""));
    }

    #[test]
    fn one_is_not_plural() {
        assert_eq!((count(1, "step"), count(2, "step")), ("1 step".into(), "2 steps".into()));
    }

    #[test]
    fn only_an_answer_that_did_not_end_well_says_so() {
        assert_eq!(ending(MessageState::Complete, Some("x")), None);
        assert!(ending(MessageState::Stopped, Some("aborted")).unwrap().ends_with("kept."));
        assert!(ending(MessageState::Failed, Some("No room.")).unwrap().ends_with("No room."));
        let cut_off = ending(MessageState::Interrupted, Some("It restarted. Nothing was charged."));
        assert_eq!(cut_off.unwrap().matches("othing").count(), 1);
    }
}
