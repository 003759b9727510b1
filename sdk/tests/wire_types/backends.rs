//! The agent and the model that a turn is run with.

use sandbox_sdk::types::BackendChoice;
use serde_json::{Value, json};

#[test]
fn a_backends_model_is_read_in_one_object_and_flat() {
    let read = |backend: Value| serde_json::from_value::<BackendChoice>(backend).unwrap();
    let model =
        json!({"provider": "openai", "model": "m", "apiKey": "k", "baseUrl": "u", "mode": "x"});
    let nested = read(json!({"type": "opencode", "model": model, "profile": "careful"}));
    let flat = read(json!({"type": "opencode", "provider": "openai", "model": "m", "apiKey": "k",
        "baseUrl": "u", "mode": "x", "profile": "careful"}));
    assert_eq!(nested, flat);
    assert_eq!(flat.model.unwrap().api_key.as_deref(), Some("k"));
    assert_eq!(flat.extra.keys().collect::<Vec<_>>(), ["profile"], "no key outside of the model");
    assert_eq!(read(json!({"type": null, "model": null})), BackendChoice::default());
    let inner = read(json!({"model": {"provider": "a"}, "provider": "b"})).model.unwrap();
    assert_eq!(inner.provider.as_deref(), Some("a"));
    for bad in [json!({"model": 7}), json!({"type": []}), json!([]), json!("opencode")] {
        assert!(serde_json::from_value::<BackendChoice>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_model_that_a_profile_names_is_the_backends() {
    let read = |backend: Value| serde_json::from_value::<BackendChoice>(backend);
    for profile in ["profile", "inlineProfile"] {
        let named = json!({"name": "careful", "model": "openai/m"});
        for (beside, provider, model) in [
            (json!({}), None, "openai/m"),
            (json!({"model": null}), None, "openai/m"),
            (json!({"model": "openai/m"}), None, "openai/m"),
            (json!({"provider": "openai"}), Some("openai"), "m"),
            (json!({"provider": "custom", "apiKey": "k"}), Some("custom"), "openai/m"),
            (json!({"model": {"provider": "openai", "model": "m"}}), Some("openai"), "m"),
        ] {
            let mut backend = beside.clone();
            backend[profile] = named.clone();
            let choice = read(backend).unwrap();
            let read_again = read(serde_json::to_value(&choice).unwrap()).unwrap();
            assert_eq!(read_again, choice, "{beside}");
            assert_eq!(choice.extra[profile], json!({"name": "careful"}));
            let is = choice.model.unwrap();
            assert_eq!((is.provider.as_deref(), is.model.as_deref()), (provider, Some(model)));
        }
        for other in [json!("m"), json!("openai/n"), json!({"provider": "custom", "model": "m"})] {
            let refused = read(json!({"model": other, profile: named})).unwrap_err().to_string();
            assert!(refused.contains("not the same"), "{refused}");
        }
        // Whoever reads profiles says what is wrong with this one.
        let odd = json!({ profile: {"model": 7} });
        assert_eq!(serde_json::to_value(read(odd.clone()).unwrap()).unwrap(), odd);
    }
    let both = json!({"profile": {"model": "a"}, "inlineProfile": {"model": "b"}});
    assert!(read(both).is_err());
}
