//! The agent and the model of turns that name none of their own.

use sandbox_sdk::types::{BackendChoice, ModelChoice};

/// What a turn asks for, filled up with what its sandbox was made with.
///
/// A turn that names another agent gets nothing of it: the model may be none of that agent's. The key
/// of the sandbox goes to the provider it came with, and nowhere else.
pub(in super::super) fn for_turn(
    made_with: Option<&BackendChoice>,
    asked: Option<BackendChoice>,
) -> Option<BackendChoice> {
    let Some(made_with) = made_with else { return asked };
    let Some(mut asked) = asked else { return Some(made_with.clone()) };
    if asked.kind.is_some() && asked.kind != made_with.kind {
        return Some(asked);
    }
    asked.kind = made_with.kind.clone();
    asked.model = match (asked.model, &made_with.model) {
        (Some(asked), Some(made_with)) => Some(with_key(asked, made_with)),
        (asked, made_with) => asked.or_else(|| made_with.clone()),
    };
    for (field, value) in &made_with.extra {
        asked.extra.entry(field).or_insert_with(|| value.clone());
    }
    Some(asked)
}

fn with_key(mut asked: ModelChoice, made_with: &ModelChoice) -> ModelChoice {
    let is_elsewhere = asked.provider.is_some() && asked.provider != made_with.provider;
    if is_elsewhere || asked.api_key.is_some() || asked.base_url.is_some() {
        return asked;
    }
    asked.provider = made_with.provider.clone();
    asked.api_key = made_with.api_key.clone();
    asked.base_url = made_with.base_url.clone();
    asked.model = asked.model.or_else(|| made_with.model.clone());
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What becomes of a turn's choice in a sandbox with a key of its own.
    fn becomes(asked: Value) -> Value {
        let made_with = json!({"type": "skein", "profile": "careful", "model": {
            "provider": "openai", "model": "large", "apiKey": "key", "baseUrl": "https://a.example",
        }});
        let made_with = serde_json::from_value(made_with).unwrap();
        let asked = serde_json::from_value(asked).unwrap();
        serde_json::to_value(for_turn(Some(&made_with), asked).unwrap()).unwrap()
    }

    #[test]
    fn a_turn_that_names_nothing_gets_all_that_the_sandbox_was_made_with() {
        for asked in [json!(null), json!({}), json!({"type": "skein"}), json!({"model": {}})] {
            let becomes = becomes(asked);
            assert_eq!(
                (&becomes["type"], &becomes["profile"]),
                (&json!("skein"), &json!("careful"))
            );
            assert_eq!(becomes["model"]["model"], "large");
            assert_eq!(becomes["model"]["apiKey"], "key");
        }
    }

    #[test]
    fn a_turns_own_model_of_the_same_provider_is_used_with_the_sandboxs_key() {
        for asked in [json!({"model": "small"}), json!({"provider": "openai", "model": "small"})] {
            let becomes = becomes(asked);
            assert_eq!(becomes["type"], "skein");
            assert_eq!(becomes["model"]["model"], "small");
            assert_eq!(becomes["model"]["apiKey"], "key");
            assert_eq!(becomes["model"]["baseUrl"], "https://a.example");
        }
    }

    #[test]
    fn the_sandboxs_key_goes_to_no_other_provider_place_or_agent() {
        for asked in [
            json!({"model": {"provider": "anthropic", "model": "m"}}),
            json!({"model": {"model": "m", "baseUrl": "https://b.example"}}),
            json!({"model": {"model": "m", "apiKey": "own"}}),
            json!({"type": "demo"}),
        ] {
            let becomes = becomes(asked);
            assert_ne!(becomes["model"]["apiKey"], "key", "{becomes}");
            assert_ne!(becomes["model"]["baseUrl"], "https://a.example", "{becomes}");
        }
    }

    #[test]
    fn without_a_default_a_turn_gets_what_it_asks_for() {
        assert_eq!(for_turn(None, None), None);
        let asked = BackendChoice { kind: Some("demo".to_owned()), ..BackendChoice::default() };
        assert_eq!(for_turn(None, Some(asked.clone())), Some(asked));
    }
}
