//! In what a request asks for another sandbox than the one that stands.

use std::collections::BTreeSet;

use sandbox_sdk::types::{CreateSandbox, Extra};
use serde_json::Value;

use super::{refused::asks, without_token};

/// Names that are told.
const MAX_NAMES: usize = 16;
const MAX_NAME: usize = 64;

/// Names of the fields that differ. No values: they may be secret.
pub(in super::super) fn differences(
    standing: &CreateSandbox,
    asked: &CreateSandbox,
) -> Vec<String> {
    let (mut standing, asked_fields) = (fields(standing), fields(asked));
    if asked.max_lifetime_seconds.is_none() {
        // It may have been given the orchestrator's own.
        standing.remove("maxLifetimeSeconds");
    }
    let names: BTreeSet<_> = standing.keys().chain(asked_fields.keys()).collect();
    let differ = names.into_iter().filter(|name| standing.get(*name) != asked_fields.get(*name));
    differ.take(MAX_NAMES).map(|name| name.chars().take(MAX_NAME).collect()).collect()
}

/// What asks for something. What opened the repository is forgotten once that is there.
fn fields(request: &CreateSandbox) -> Extra {
    let without = without_token(request);
    let fields = serde_json::to_value(without.as_ref().unwrap_or(request));
    let Ok(Value::Object(mut fields)) = fields else { return Extra::new() };
    fields.retain(|name, value| name != "idempotencyKey" && asks(value));
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differing(standing: Value, asked: Value) -> Vec<String> {
        let read = |value| serde_json::from_value::<CreateSandbox>(value).unwrap();
        differences(&read(standing), &read(asked))
    }

    #[test]
    fn fields_that_differ_are_named_and_what_is_the_same_in_other_words_is_not() {
        let standing = json!({"env": {"A": "1"}, "name": "a", "resources": {"cpu": 1},
            "maxLifetimeSeconds": 60, "git": {"url": "https://a.example/b", "auth": {}}});
        let asked = json!({"env": {"A": "1"}, "name": "a", "resources": {"cpuCores": 1},
            "git": {"url": "https://a.example/b", "auth": {"token": "t"}},
            "idempotencyKey": "k", "sshEnabled": false, "tools": null});
        assert_eq!(differing(standing.clone(), asked), Vec::<String>::new());
        let other = json!({"env": {"A": "secret"}, "image": "secret", "maxLifetimeSeconds": 61});
        let names = differing(standing, other);
        assert_eq!(names, ["env", "git", "image", "maxLifetimeSeconds", "name", "resources"]);
    }
}
