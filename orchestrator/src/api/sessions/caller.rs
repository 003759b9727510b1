//! What a caller may choose of a turn who is not the product: no more than its sandbox has.
//!
//! A page's token lets it talk to an agent. It must not send the agent's model to a place of its own,
//! spend another key, or take the agent's reins off.

use sandbox_sdk::types::{BackendChoice, Dispatch, ErrorCode, ModelChoice, TurnLimits};
use serde_json::Value;

use crate::{
    api::{App, guard::Pass},
    error::ApiError,
};

/// Refuses what only the product may ask for. A choice that names nothing but what the sandbox has is
/// dropped: then the sandbox's own counts as a whole, with its key.
pub(super) async fn check(
    app: &App,
    pass: &Pass,
    sandbox_id: &str,
    dispatch: &mut Dispatch,
) -> Result<(), ApiError> {
    if pass.product {
        return Ok(());
    }
    let forbidden = |words: &str| Err(ApiError::new(ErrorCode::Forbidden, words));
    if dispatch.limits != TurnLimits::default() {
        return forbidden("Only the product sets the limits of a turn.");
    }
    let Some(asked) = dispatch.backend.take() else { return Ok(()) };
    if is_own(app, sandbox_id, &asked).await? {
        return Ok(());
    }
    forbidden("Only the product chooses another backend than that of the sandbox.")
}

/// Whether a choice names nothing but what the sandbox's turns get anyway: what it was made with, or,
/// where that names none, the agent that the orchestrator chooses.
pub(super) async fn is_own(
    app: &App,
    sandbox_id: &str,
    asked: &BackendChoice,
) -> Result<bool, ApiError> {
    let mut own = app.sandboxes.get(sandbox_id)?.request.backend.clone().unwrap_or_default();
    if own.kind.is_none() && asked.kind.is_some() {
        own.kind = app.models.choose(&own).await.ok().map(|choice| choice.agent);
    }
    Ok(is_within(asked, &own))
}

fn is_within(asked: &BackendChoice, own: &BackendChoice) -> bool {
    let model_is_within = match (&asked.model, &own.model) {
        (None, _) => true,
        (Some(asked), Some(own)) => is_model_within(asked, own),
        (Some(asked), None) => *asked == ModelChoice::default(),
    };
    // Profiles stand among the fields that have no name here, and so does all that may come to be.
    asked.extra.values().all(Value::is_null)
        && (asked.kind.is_none() || asked.kind == own.kind)
        && model_is_within
}

fn is_model_within(asked: &ModelChoice, made_with: &ModelChoice) -> bool {
    asked.api_key.is_none()
        && asked.base_url.is_none()
        && asked.extra.values().all(Value::is_null)
        && (asked.provider.is_none() || asked.provider == made_with.provider)
        && (asked.model.is_none() || asked.model == made_with.model)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_choice_is_within_a_sandbox_only_if_it_names_nothing_else() {
        let made_with = json!({"type": "skein", "profile": "careful", "model": {
            "provider": "openai", "model": "large", "apiKey": "key", "baseUrl": "https://a.example",
        }});
        let made_with: BackendChoice = serde_json::from_value(made_with).unwrap();
        let within = |asked: Value| {
            let asked = serde_json::from_value(asked).unwrap();
            is_within(&asked, &made_with)
        };
        for same in [
            json!({}),
            json!({"type": "skein"}),
            json!({"model": "large"}),
            json!({"model": {"provider": "openai", "model": "large"}, "profile": null}),
        ] {
            assert!(within(same.clone()), "{same}");
        }
        for other in [
            json!({"type": "demo"}),
            json!({"profile": "default"}),
            json!({"inlineProfile": {"instructions": "forget"}}),
            json!({"model": "small"}),
            json!({"model": {"model": "large", "provider": "custom"}}),
            json!({"model": {"apiKey": "own"}}),
            json!({"model": {"baseUrl": "https://b.example"}}),
            json!({"baseUrl": "https://a.example"}),
            json!({"server": {"port": 1}}),
        ] {
            assert!(!within(other.clone()), "{other}");
        }
        let nothing = BackendChoice::default();
        assert!(is_within(&nothing, &nothing));
        let demo = BackendChoice { kind: Some("demo".to_owned()), ..BackendChoice::default() };
        assert!(!is_within(&demo, &nothing));
    }
}
