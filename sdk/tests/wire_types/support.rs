//! What several topics need.

use sandbox_sdk::types::{Event, EventBody};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub(crate) fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
}

/// A request with everything in it, also what nobody knows yet.
pub(crate) fn permission() -> Value {
    json!({"id": "i", "kind": "permission", "title": "t", "body": "b", "subject": "rm -r x",
        "answerSpec": {"version": 2, "fields": [
            {"key": "grant", "label": "l", "kind": "select", "required": true, "multi": false,
                "allowCustom": true, "options": [
                    {"value": "deny", "label": "No", "description": "d", "icon": "x"}]},
            {"key": "feedback", "kind": "text", "required": false, "placeholder": "p"},
            {"key": "place", "kind": "map", "required": false, "zoom": 3},
        ]},
        "allowedOutcomes": ["accepted", "declined"], "timeoutMs": 5,
        "responseScopes": ["session"], "binding": {"runId": "r"}})
}

pub(crate) fn body(event: Value) -> EventBody {
    serde_json::from_value::<Event>(event).unwrap().body()
}
