//! As much of JSON Schema as the document uses. A keyword that is not known here fails the test.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value;

use crate::support::{Answer, Product};

/// What `GET /openapi.json` answers.
pub(super) struct Document(pub(super) Value);

impl Document {
    pub(super) async fn of(product: &Product) -> Self {
        Self(product.get("/openapi.json").await.expect(200))
    }

    /// The body of an answer, which must be as the document says.
    #[track_caller]
    pub(super) fn fits(&self, method: &str, path: &str, status: u16, answer: Answer) -> Value {
        let body = answer.expect(status);
        let responses = &self.operation(method, path)["responses"];
        let said = responses.get(status.to_string());
        assert!(said.is_some() || status >= 400, "{method} {path}: {status} is not told");
        let mut response = said.unwrap_or(&responses["default"]);
        if let Some(reference) = response["$ref"].as_str() {
            response = self.resolve(reference);
        }
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status} has no schema");
        if let Err(problem) = self.check(schema, &body, "$") {
            panic!("{method} {path} {status}: {problem}\n{body:#}");
        }
        body
    }

    /// No field of an answer is one that the schema of that name is silent about.
    #[track_caller]
    pub(super) fn names_all(&self, schema: &str, answer: &Value) {
        let named = self.0["components"]["schemas"][schema]["properties"].as_object().unwrap();
        let silent = |name: &&String| !named.contains_key(*name);
        let unnamed: Vec<_> = answer.as_object().unwrap().keys().filter(silent).collect();
        assert!(unnamed.is_empty(), "{schema} says nothing of {unnamed:?}");
    }

    /// Why a body is not what the operation takes.
    pub(super) fn problem(&self, method: &str, path: &str, body: &Value) -> Option<String> {
        let content = &self.operation(method, path)["requestBody"]["content"];
        let schema = &content["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path} takes no JSON");
        self.check(schema, body, "$").err()
    }

    #[track_caller]
    fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.0["paths"][path][method];
        assert!(operation.is_object(), "the document has no {method} {path}");
        operation
    }

    fn resolve(&self, reference: &str) -> &Value {
        let place = reference.strip_prefix('#').unwrap();
        self.0.pointer(place).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let keywords = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{at}: nothing fits here")),
            schema => schema.as_object().unwrap(),
        };
        for (keyword, says) in keywords {
            let fits = match keyword.as_str() {
                "$ref" => {
                    self.check(self.resolve(says.as_str().unwrap()), value, at)?;
                    true
                }
                "type" => match says {
                    Value::Array(types) => types.iter().any(|one| is_of(value, one)),
                    one => is_of(value, one),
                },
                "enum" => says.as_array().unwrap().contains(value),
                "const" => says == value,
                "minimum" => in_order(says, value),
                "maximum" => in_order(value, says),
                "pattern" => {
                    let pattern = Regex::new(says.as_str().unwrap()).unwrap();
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "required" => value.as_object().is_none_or(|fields| {
                    let names = says.as_array().unwrap().iter();
                    names.map(|name| name.as_str().unwrap()).all(|name| fields.contains_key(name))
                }),
                "properties" | "additionalProperties" | "items" => {
                    self.check_inside(keywords, keyword, value, at)?;
                    true
                }
                "allOf" => self.fitting(says, value, at).len() == says.as_array().unwrap().len(),
                "anyOf" => !self.fitting(says, value, at).is_empty(),
                "oneOf" => self.fitting(says, value, at).len() == 1,
                "title" | "description" | "default" | "examples" | "format" => true,
                unknown => panic!("{at}: the keyword {unknown} is not known here"),
            };
            if !fits {
                return Err(format!("{at}: {value} does not fit {keyword} {says}"));
            }
        }
        Ok(())
    }

    fn fitting<'a>(&self, schemas: &'a Value, value: &Value, at: &str) -> Vec<&'a Value> {
        let schemas = schemas.as_array().unwrap().iter();
        schemas.filter(|schema| self.check(schema, value, at).is_ok()).collect()
    }

    fn check_inside(
        &self,
        keywords: &serde_json::Map<String, Value>,
        keyword: &str,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let says = &keywords[keyword];
        match (keyword, value) {
            ("items", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.check(says, item, &format!("{at}[{index}]"))?;
                }
            }
            ("properties", Value::Object(fields)) => {
                for (name, schema) in says.as_object().unwrap() {
                    if let Some(field) = fields.get(name) {
                        self.check(schema, field, &format!("{at}.{name}"))?;
                    }
                }
            }
            ("additionalProperties", Value::Object(fields)) => {
                let named = keywords.get("properties").and_then(Value::as_object);
                for (name, field) in fields {
                    if named.is_none_or(|named| !named.contains_key(name)) {
                        self.check(says, field, &format!("{at}.{name}"))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the type {unknown} is not known here"),
    }
}

/// Only numbers have an order.
fn in_order(less: &Value, more: &Value) -> bool {
    match (less.as_f64(), more.as_f64()) {
        (Some(less), Some(more)) => less.partial_cmp(&more) != Some(Ordering::Greater),
        _ => true,
    }
}

#[test]
fn a_value_that_does_not_fit_is_found() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"], "pattern": "^a"},
            "size": {"type": "integer", "minimum": 0},
            "kinds": {"type": "array", "items": {"enum": ["x", "y"]}},
            "one": {"oneOf": [{"type": "string"}, {"const": 1}]},
            "all": {"allOf": [{"type": "number"}, {"maximum": 3}]},
        },
        "required": ["name"],
        "additionalProperties": {"$ref": "#/flag"},
    });
    let document = Document(serde_json::json!({"flag": {"type": "boolean"}}));
    let fits =
        |text: &str| document.check(&schema, &serde_json::from_str(text).unwrap(), "$").is_ok();
    for text in [
        r#"{"name": null}"#,
        r#"{"name": "ab", "size": 0, "kinds": ["x"], "one": 1, "all": 2.5, "more": true}"#,
    ] {
        assert!(fits(text), "{text}");
    }
    for text in [
        "{}",
        "[]",
        r#"{"name": 1}"#,
        r#"{"name": "b"}"#,
        r#"{"name": "a", "size": -1}"#,
        r#"{"name": "a", "size": 1.5}"#,
        r#"{"name": "a", "kinds": ["z"]}"#,
        r#"{"name": "a", "one": 2}"#,
        r#"{"name": "a", "all": 4}"#,
        r#"{"name": "a", "more": "true"}"#,
    ] {
        assert!(!fits(text), "{text}");
    }
}
