use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document::{self, document};
use crate::api::paths::{self, Route};

const BASE: &str = "http://127.0.0.1:4500";

#[test]
fn every_route_that_is_served_has_an_operation_and_every_operation_a_route() {
    let mut operations = BTreeSet::new();
    for operation in document::of_product() {
        let route = Route { path: operation.path.to_owned(), method: operation.method };
        assert!(operations.insert(route), "{} stands twice", operation.path);
    }
    for operation in document::of_surface() {
        let route = Route { path: format!("…{}", operation.path), method: operation.method };
        assert!(operations.insert(route), "{} stands twice", operation.path);
    }
    let served = paths::served();
    let missing: Vec<_> = served.difference(&operations).collect();
    assert!(missing.is_empty(), "no operation tells of {missing:#?}");
    let untrue: Vec<_> = operations.difference(&served).collect();
    assert!(untrue.is_empty(), "no route serves {untrue:#?}");
}

#[test]
fn every_operation_is_told_in_few_words_under_a_heading_and_says_what_it_answers() {
    for operation in document::of_product().into_iter().chain(document::of_surface()) {
        let words = operation.summary.split_whitespace().count();
        assert!((1..=12).contains(&words), "{}: {}", operation.path, operation.summary);
        assert!(operation.summary.ends_with('.'), "{}", operation.summary);
        assert!(!operation.tag.is_empty() && !operation.answers.is_empty(), "{operation:?}");
        let takes_none = operation.method == "GET";
        assert!(!takes_none || operation.body.is_none(), "{operation:?}");
    }
}

/// What the router has at three places the document has at three.
#[test]
fn the_document_has_every_path_of_the_router_with_its_methods() {
    let document = document(BASE);
    let places = ["/v1/sandboxes/{id}/runtime", "/sidecar/{id}", "/v1/sidecar-proxy/{id}"];
    let mut expected = BTreeSet::new();
    for route in paths::served().into_iter().chain(paths::refused()) {
        let method = route.method.to_ascii_lowercase();
        let full = match route.of_sandbox() {
            Some(below) => places.map(|place| format!("{place}{below}")).to_vec(),
            None => vec![route.path.clone()],
        };
        expected.extend(full.into_iter().map(|path| (path.replace("{*", "{"), method.clone())));
    }
    let told: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (path.to_owned(), method.to_owned()))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn the_document_is_whole() {
    let document = document(BASE);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{"url": BASE}]));
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} stands twice");
        let parameters = operation["parameters"].as_array().unwrap();
        let declared: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named: Vec<_> =
            path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
        assert_eq!(declared, named, "{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.len() > 1, "{method} {path} answers nothing");
        for (status, response) in responses {
            let is_told = response["description"].is_string() || response["$ref"].is_string();
            assert!(is_told, "{method} {path} {status}");
        }
        for scheme in operation["security"].as_array().unwrap() {
            for name in scheme.as_object().unwrap().keys() {
                let schemes = &document["components"]["securitySchemes"];
                assert!(schemes[name].is_object(), "{name} is no security scheme");
            }
        }
    }
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 100, "only {} references were found", references.len());
    for reference in references {
        let place = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads away"));
        assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
    }
}

/// There is one schema by each name, whichever way the type goes.
#[test]
fn what_is_asked_and_what_is_answered_by_one_name_is_the_same() {
    let mut parts = document::Parts::new();
    for operation in document::of_product().into_iter().chain(document::of_surface()) {
        parts.add(operation.path, &operation, &json!([]));
    }
    let (asked, answered) =
        (parts.asked.take_definitions(true), parts.answered.take_definitions(true));
    assert!(asked.len() > 20 && answered.len() > 20, "{} {}", asked.len(), answered.len());
    for (name, schema) in asked {
        assert!(answered.get(&name).is_none_or(|other| *other == schema), "{name} has two schemas");
    }
}

#[test]
fn the_product_learns_how_it_is_told_of_a_turns_end() {
    let document = document(BASE);
    let ended = &document["webhooks"]["turn.ended"]["post"];
    assert_eq!(ended["parameters"][0]["name"], "x-tangle-signature");
    let body = &ended["requestBody"]["content"]["application/json"]["schema"]["allOf"];
    assert_eq!(body[0], json!({"$ref": "#/components/schemas/WebhookBody"}));
    let data = &document["components"]["schemas"]["WebhookEvent"]["properties"];
    for field in ["sandboxId", "sessionId", "turnId", "outcome", "tokenUsage"] {
        assert!(data[field].is_object(), "{data}");
    }
}

#[test]
fn a_refused_route_says_so_with_its_reason() {
    let document = document(BASE);
    let fork = &document["paths"]["/v1/sandboxes/{id}/fork"]["post"];
    let refused = &fork["responses"]["501"];
    assert!(refused["description"].as_str().unwrap().contains("CRIU"), "{fork}");
    let schema = &refused["content"]["application/json"]["schema"]["allOf"][1];
    assert_eq!(schema["properties"]["feature"], json!({"const": "fork"}));
}

#[test]
fn a_scoped_token_is_named_with_what_it_has_to_open() {
    let document = document(BASE);
    let security = |path: &str, method: &str| document["paths"][path][method]["security"].clone();
    let sandbox = json!({"sandboxToken": []});
    assert_eq!(
        security("/sidecar/{id}/files/write", "post"),
        json!([sandbox, {"scopedToken": ["workspace"]}])
    );
    assert_eq!(security("/sidecar/{id}/agents/run", "post"), json!([sandbox]));
    assert_eq!(
        security("/v1/sandboxes/{id}/runtime/agents/run", "post"),
        json!([{"productKey": []}])
    );
    assert_eq!(security("/health", "get"), json!([]));
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect_references(value, found));
        }
        _ => {}
    }
}
