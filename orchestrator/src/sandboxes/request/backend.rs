//! The agent and the model of turns that name none of their own.

use sandbox_sdk::types::{BackendChoice, ModelChoice};
use serde_json::Value;

use crate::{
    models::{DEMO, PROVIDERS},
    profile,
};

/// What a turn asks for, filled up with what its sandbox was made with.
///
/// The sandbox's profile holds for every agent. A turn that names another agent than the sandbox
/// gets no model of it: it may be none of that agent's. The key of the sandbox goes to the provider
/// it came with, and nowhere else.
pub(in super::super) fn for_turn(
    made_with: Option<&BackendChoice>,
    asked: Option<BackendChoice>,
) -> Option<BackendChoice> {
    let Some(made_with) = made_with else { return asked };
    let Some(mut asked) = asked else { return Some(made_with.clone()) };
    for field in profile::FIELDS {
        if asked.extra.get(field).is_none_or(Value::is_null)
            && let Some(value) = made_with.extra.get(field)
        {
            asked.extra.insert(field.to_owned(), value.clone());
        }
    }
    let is_other = made_with.kind.is_some() && asked.kind != made_with.kind;
    // The demo agent refuses a model, and a turn that names it wants none.
    if asked.kind.is_some() && (is_other || asked.kind.as_deref() == Some(DEMO)) {
        return Some(asked);
    }
    asked.kind = asked.kind.or_else(|| made_with.kind.clone());
    asked.model = match (asked.model, &made_with.model) {
        (Some(asked), Some(made_with)) => Some(with_key(asked, made_with)),
        (asked, made_with) => asked.or_else(|| made_with.clone()),
    };
    Some(asked)
}

fn with_key(asked: ModelChoice, made_with: &ModelChoice) -> ModelChoice {
    if asked.api_key.is_some() || asked.base_url.is_some() {
        return asked;
    }
    if asked.provider.is_none() && asked.model == made_with.model {
        // Whatever its name begins with.
        return ModelChoice { extra: asked.extra, ..made_with.clone() };
    }
    let (provider, model) = match (&asked.provider, &asked.model) {
        // At an address of its own, a name may have a slash of its own.
        (None, Some(name)) if made_with.base_url.is_none() => split(name),
        (provider, model) => (provider.as_deref(), model.as_deref()),
    };
    if provider.is_some() && provider != made_with.provider.as_deref() {
        return asked;
    }
    let model = model.or(made_with.model.as_deref()).map(str::to_owned);
    ModelChoice { model, extra: asked.extra, ..made_with.clone() }
}

/// The provider that a model's name begins with, if it does, and the name.
fn split(name: &str) -> (Option<&str>, Option<&str>) {
    match name.trim().split_once('/') {
        Some((provider, model)) if PROVIDERS.contains(&provider) => (Some(provider), Some(model)),
        _ => (None, Some(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What becomes of a turn's choice in a sandbox that was made with this one.
    fn becomes_in(made_with: Value, asked: Value) -> Value {
        let made_with = serde_json::from_value(made_with).unwrap();
        let asked = serde_json::from_value(asked).unwrap();
        serde_json::to_value(for_turn(Some(&made_with), asked).unwrap()).unwrap()
    }

    /// The same in a sandbox with a key of its own.
    fn becomes(asked: Value) -> Value {
        let made_with = json!({"type": "skein", "profile": "careful", "model": {
            "provider": "openai", "model": "large", "apiKey": "key", "baseUrl": "https://a.example",
        }});
        becomes_in(made_with, asked)
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
    fn a_provider_in_a_models_name_counts_as_one_that_is_named() {
        let made_with = json!({"model": {"provider": "openai", "model": "large", "apiKey": "key"}});
        let model =
            |name: &str| becomes_in(made_with.clone(), json!({"model": name}))["model"].clone();
        assert_eq!(model("anthropic/m"), json!({"model": "anthropic/m"}));
        let small = json!({"provider": "openai", "model": "small", "apiKey": "key"});
        assert_eq!((&model("openai/small"), &model("small")), (&small, &small));
        assert_eq!(model("vendor/small")["apiKey"], "key", "it is no provider's name");
        let made_with = json!({"model": {"model": "openai/large", "apiKey": "key"}});
        let same = becomes_in(made_with, json!({"model": "openai/large"}));
        assert_eq!(same["model"]["apiKey"], "key", "it is the sandbox's own");
        let elsewhere = becomes(json!({"model": "anthropic/m"}));
        assert_eq!(
            (&elsewhere["model"]["model"], &elsewhere["model"]["apiKey"]),
            (&json!("anthropic/m"), &json!("key")),
            "that host has models of many vendors"
        );
    }

    #[test]
    fn the_sandboxs_profile_holds_for_every_agent() {
        let made_with = json!({"profile": "read-only", "inlineProfile": {"instructions": "short"}});
        for asked in [json!({"type": "demo"}), json!({"type": "codex", "profile": null})] {
            for kind in [json!(null), json!("skein")] {
                let mut made_with = made_with.clone();
                made_with["type"] = kind;
                let becomes = becomes_in(made_with, asked.clone());
                assert_eq!(becomes["type"], asked["type"]);
                assert_eq!(becomes["profile"], "read-only", "{asked}");
                assert_eq!(becomes["inlineProfile"]["instructions"], "short", "{asked}");
            }
        }
        assert_eq!(becomes(json!({"type": "demo", "profile": "default"}))["profile"], "default");
    }

    #[test]
    fn a_sandbox_that_names_no_agent_lends_its_key_to_any_but_the_one_without_a_model() {
        let made_with = json!({"model": {"provider": "openai", "model": "large", "apiKey": "key"}});
        for (agent, model) in [("skein", &made_with["model"]), ("demo", &json!(null))] {
            let becomes = becomes_in(made_with.clone(), json!({"type": agent}));
            assert_eq!((&becomes["type"], &becomes["model"]), (&json!(agent), model));
        }
    }

    #[test]
    fn without_a_default_a_turn_gets_what_it_asks_for() {
        assert_eq!(for_turn(None, None), None);
        let asked = BackendChoice { kind: Some("demo".to_owned()), ..BackendChoice::default() };
        assert_eq!(for_turn(None, Some(asked.clone())), Some(asked));
    }
}
