//! What goes into the sandbox of all that a turn asks for.

use sandbox_sdk::types::{BackendChoice, Extra, ModelChoice};

use crate::{builtin::MAX_THINKING_TOKENS, profile};

/// What the agent gets to see of the choice: its own part of it, and never a key. Of what nobody
/// knows here it gets nothing: it may be secret, under a name that was misspelt.
pub(super) fn for_agent(asked: Option<&BackendChoice>, agent: &str) -> BackendChoice {
    let asked = asked.cloned().unwrap_or_default();
    let model = asked.model.map(|model| ModelChoice {
        provider: model.provider,
        model: model.model,
        extra: only(model.extra, &[MAX_THINKING_TOKENS]),
        ..ModelChoice::default()
    });
    let extra = only(asked.extra, &profile::FIELDS);
    BackendChoice { kind: Some(agent.to_owned()), model, extra }
}

fn only(fields: Extra, known: &[&str]) -> Extra {
    fields.into_iter().filter(|(field, _)| known.contains(&field.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(asked: Value) -> Value {
        let asked = serde_json::from_value(asked).unwrap();
        serde_json::to_value(for_agent(Some(&asked), "skein")).unwrap()
    }

    #[test]
    fn an_agent_sees_what_it_understands_and_nothing_that_may_be_secret() {
        let asked = json!({
            "type": "opencode",
            "profile": "careful",
            "inlineProfile": {"instructions": "short"},
            "api_key": "secret",
            "authFiles": [{"path": "a", "content": "secret"}],
            "server": {"password": "secret"},
            "model": {
                "provider": "custom", "model": "m", "maxThinkingTokens": 7, "apiKey": "secret",
                "baseUrl": "https://secret.example", "apikey": "secret", "mode": "secret",
            },
        });
        let model = json!({"provider": "custom", "model": "m", "maxThinkingTokens": 7});
        let inline = json!({"instructions": "short"});
        let seen = seen(asked);
        assert_eq!(
            seen,
            json!({"type": "skein", "profile": "careful", "inlineProfile": inline, "model": model})
        );
    }

    #[test]
    fn an_agent_knows_that_it_was_chosen() {
        assert_eq!(seen(json!({})), json!({"type": "skein"}));
    }
}
