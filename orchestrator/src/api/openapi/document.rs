//! Puts the tables together into one document.

use axum::{http::Method, routing::MethodFilter};
use sandbox_sdk::types::ErrorBody;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    beside,
    operation::{Answer, Body, Opens, Operation},
    product, sessions, surface, webhooks,
};
use crate::api::{
    guard::{self, Capability},
    refusals::{self, Refusal},
};

/// Where a sandbox's surface stands, and whether the product's key opens it there.
const PLACES: [(&str, bool); 3] = [
    ("/v1/sandboxes/{id}/runtime", true),
    ("/sidecar/{id}", false),
    ("/v1/sidecar-proxy/{id}", false),
];

const METHODS: [(&str, MethodFilter); 5] = [
    ("GET", MethodFilter::GET),
    ("POST", MethodFilter::POST),
    ("PUT", MethodFilter::PUT),
    ("PATCH", MethodFilter::PATCH),
    ("DELETE", MethodFilter::DELETE),
];

const ABOUT: &str = "Sandboxes on this machine, agent sessions in them, and their files, commands \
and terminals. A sandbox's own surface stands at three places: below its runtime path for the \
product's key, at /sidecar/{id} for its own token and for scoped ones, and at \
/v1/sidecar-proxy/{id} for the same tokens in pages. A path parameter that is the rest of a path \
keeps its slashes. Every answer has the header x-request-id.";

/// Operations of the product.
pub(super) fn of_product() -> Vec<Operation> {
    product::operations().into_iter().chain(sessions::of_product()).collect()
}

/// Operations of a sandbox's surface, by their paths below the sandbox.
pub(super) fn of_surface() -> Vec<Operation> {
    surface::operations().into_iter().chain(sessions::in_sandbox()).collect()
}

pub(super) fn document(base_url: &str) -> Value {
    let mut parts = Parts::new();
    let error = parts.answered.subschema_for::<ErrorBody>().to_value();
    for operation in of_product() {
        let security = match operation.opens {
            Opens::Product => json!([{"productKey": []}]),
            Opens::ReadToken => json!([{"readToken": []}]),
            Opens::Nobody => json!([]),
        };
        parts.add(operation.path, &operation, &security);
    }
    for operation in of_surface() {
        for (place, products) in PLACES {
            let security = on_surface(operation.method, operation.path, products);
            parts.add(&format!("{place}{}", operation.path), &operation, &security);
        }
    }
    for refusal in refusals::API {
        parts.refuse("", refusal, true);
    }
    for refusal in refusals::IN_SANDBOX {
        for (place, products) in PLACES {
            parts.refuse(place, refusal, products);
        }
    }
    let Parts { mut asked, mut answered, paths } = parts;
    let webhooks = webhooks::webhooks(&mut answered);
    let beside = beside::fields(&mut asked, &mut answered);
    // What is in both is the same in both: a test looks.
    let mut schemas = asked.take_definitions(true);
    schemas.extend(answered.take_definitions(true));
    for (name, fields) in beside {
        beside::add(&mut schemas, name, fields);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Skein orchestrator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas,
            "securitySchemes": security_schemes(),
            "responses": {
                "Error": {
                    "description": "It was refused, or it failed. The code says why.",
                    "content": {"application/json": {"schema": error}},
                },
            },
        },
    })
}

fn security_schemes() -> Value {
    let bearer = |words: &str| json!({"type": "http", "scheme": "bearer", "description": words});
    json!({
        "productKey": bearer("The product's key."),
        "sandboxToken": bearer("connection.authToken of the sandbox."),
        "scopedToken": bearer(
            "A scoped token that opens as much as is named: read, workspace or terminal.",
        ),
        "readToken": bearer(
            "A read token of the session gateway. Pages put it into Sec-WebSocket-Protocol.",
        ),
    })
}

/// Who may ask for something of a sandbox's surface.
fn on_surface(method: &str, path: &str, products: bool) -> Value {
    if products {
        return json!([{"productKey": []}]);
    }
    let needs = method.parse::<Method>().ok().and_then(|method| guard::needs(&method, path));
    let role = match needs {
        Some(Capability::Read) => "read",
        Some(Capability::Workspace) => "workspace",
        Some(Capability::Terminal) => "terminal",
        _ => return json!([{"sandboxToken": []}]),
    };
    json!([{"sandboxToken": []}, {"scopedToken": [role]}])
}

/// What the document is made of.
pub(super) struct Parts {
    /// Schemas of what is read, and of what is written. A field with a default may be missing in
    /// the one and is always there in the other.
    pub(super) asked: SchemaGenerator,
    pub(super) answered: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Parts {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            asked: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
            paths: Map::new(),
        }
    }

    /// An operation at a path, as the router spells it.
    pub(super) fn add(&mut self, path: &str, operation: &Operation, security: &Value) {
        let mut parameters = in_path(path);
        for parameter in &operation.parameters {
            parameters.push(json!({
                "name": parameter.name,
                "in": parameter.place,
                "schema": parameter.shape.schema(&mut self.asked),
            }));
        }
        let mut entry = json!({
            "operationId": operation_id(operation.method, path),
            "tags": [operation.tag],
            "summary": operation.summary,
            "parameters": parameters,
            "responses": self.responses(&operation.answers),
            "security": security,
        });
        if let Some(Body { media, shape, required }) = &operation.body {
            let schema = shape.as_ref().map(|shape| shape.schema(&mut self.asked));
            entry["requestBody"] = json!({"required": required, "content": content(media, schema)});
        }
        self.put(operation.method, path, entry);
    }

    fn responses(&mut self, answers: &[Answer]) -> Value {
        let mut responses = json!({"default": {"$ref": "#/components/responses/Error"}});
        for answer in answers {
            let schema = answer.shape.as_ref().map(|shape| shape.schema(&mut self.answered));
            let response = &mut responses[answer.status.to_string()];
            response["description"] = meaning(answer.status).into();
            let Value::Object(content) = content(answer.media, schema) else { continue };
            for (media, form) in content {
                response["content"][media] = form;
            }
        }
        responses
    }

    fn refuse(&mut self, place: &str, refusal: &Refusal, products: bool) {
        let path = format!("{place}{}", refusal.path);
        let error = self.answered.subschema_for::<ErrorBody>().to_value();
        let schema = json!({"allOf": [error, {"properties": {
            "feature": {"const": refusal.feature},
            "reason": {"const": refusal.reason},
        }}]});
        let is_taken =
            |(_, one): &(&str, MethodFilter)| refusal.methods.or(*one) == refusal.methods;
        for (method, _) in METHODS.into_iter().filter(is_taken) {
            let entry = json!({
                "operationId": operation_id(method, &path),
                "tags": ["Not here"],
                "summary": format!("Not done here: {}.", refusal.feature),
                "parameters": in_path(&path),
                "responses": {
                    "501": {
                        "description": refusal.reason,
                        "content": {"application/json": {"schema": schema}},
                    },
                    "default": {"$ref": "#/components/responses/Error"},
                },
                "security": on_surface(method, refusal.path, products),
            });
            self.put(method, &path, entry);
        }
    }

    fn put(&mut self, method: &str, path: &str, entry: Value) {
        let item = self.paths.entry(path.replace("{*", "{")).or_insert_with(|| json!({}));
        item[method.to_ascii_lowercase()] = entry;
    }
}

/// Nothing for what has no body.
fn content(media: &str, schema: Option<Value>) -> Value {
    match schema {
        Some(schema) => json!({media: {"schema": schema}}),
        None if media.is_empty() => Value::Null,
        None => json!({media: {}}),
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        101 => "The connection is a WebSocket from now on.",
        201 => "It was made.",
        202 => "It has begun, and is not waited for.",
        206 => "A part of the bytes.",
        404 => "There is none.",
        _ => "It was done.",
    }
}

/// The parameters that stand in a path.
fn in_path(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    names
        .map(|name| {
            let kind = if matches!(name, "pid" | "port") { "integer" } else { "string" };
            let mut parameter = json!({
                "name": name.trim_start_matches('*'),
                "in": "path",
                "required": true,
                "schema": {"type": kind},
            });
            if name.starts_with('*') {
                parameter["description"] = "The rest of the path, with its slashes.".into();
            }
            parameter
        })
        .collect()
}

/// `GET /v1/sandboxes/{id}` is `getV1SandboxesId`.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_ascii_lowercase();
    for word in path.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}
