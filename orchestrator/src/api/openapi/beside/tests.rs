use sandbox_sdk::types::{BackendChoice, Resources};

use super::*;
use crate::{
    api::openapi::document::document,
    profile,
    sandboxes::{NetworkAsk, READ},
};

/// The fields that the document knows of a type.
fn described(name: &str) -> Map<String, Value> {
    let document = document("http://127.0.0.1:4500");
    document["components"]["schemas"][name]["properties"].as_object().unwrap().clone()
}

/// The words that the refusal of a profile says there are, of fields or of values.
fn known(profile: Value) -> Vec<String> {
    let backend: BackendChoice = serde_json::from_value(json!({"profile": profile})).unwrap();
    let refused = Profile::of(Some(&backend)).unwrap_err();
    let words = refused.split('`').skip(1).step_by(2).filter(|word| *word != "?");
    let words: Vec<_> = words.map(str::to_owned).collect();
    assert!(words.len() >= 3, "{refused}");
    words
}

#[test]
fn the_document_has_them_beside_those_that_the_type_names() {
    for (name, shape) in of_asked().into_iter().chain(of_answered()) {
        let described = described(name);
        let fields = shape.schema(&mut SchemaGenerator::default());
        let fields = fields["properties"].as_object().unwrap();
        assert!(described.len() > fields.len(), "{name} has lost its own");
        for field in fields.keys() {
            assert!(described.contains_key(field), "{name}.{field}");
        }
    }
}

#[test]
fn what_a_sandbox_is_asked_for_by_name_is_described() {
    let sandbox = described("CreateSandbox");
    for field in READ {
        assert!(sandbox.contains_key(*field), "{field}");
    }
    let drivers = &sandbox["driver"]["anyOf"][1]["enum"];
    assert!(drivers.as_array().unwrap().contains(&json!("host-agent")), "{drivers}");
    let network = sandbox["network"]["anyOf"][0]["properties"].as_object().unwrap();
    assert!(network.contains_key("allowList"));
    assert_eq!(NetworkAsk::unknown(network), None, "it is described and not read");
}

#[test]
fn every_spelling_of_a_limit_that_is_described_is_read() {
    let limits = described("Resources");
    for field in limits.keys().filter(|field| *field != "strict") {
        let read: Resources = serde_json::from_value(json!({ field: 64 })).unwrap();
        assert!(read.extra.is_empty() && read != Resources::default(), "{field}");
    }
    for spelling in ["cpu", "memory", "memoryMb", "storage", "storageMB"] {
        assert!(limits.contains_key(spelling), "{spelling}");
    }
}

#[test]
fn all_that_is_read_of_a_profile_is_described() {
    let backend = described("BackendChoice");
    for field in profile::FIELDS {
        assert!(backend.contains_key(field), "{field}");
    }
    assert_eq!(backend["profile"]["anyOf"][0]["enum"], json!(known(json!("?"))));
    let fields = described("Profile");
    for field in known(json!({"?": 1})) {
        assert!(fields.contains_key(&field), "{field}");
    }
    for place in ["permissions", "permission"] {
        let permissions = &fields[place]["properties"];
        for field in known(json!({"permissions": {"?": "deny"}})) {
            let words = &permissions[&field]["enum"];
            assert_eq!(*words, json!(known(json!({"permissions": {"bash": "?"}}))), "{field}");
        }
    }
}
