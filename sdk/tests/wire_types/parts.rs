//! The parts of a message.

use sandbox_sdk::types::{Part, PartBody};
use serde_json::json;

use crate::support::{permission, round_trip};

#[test]
fn a_part_of_every_type_survives_with_fields_that_nobody_knows() {
    for fields in [
        json!({"type": "text", "text": "hi", "synthetic": true}),
        json!({"type": "reasoning", "text": "hm", "time": {"start": 1, "end": 2}, "x": [1]}),
        json!({"type": "tool", "tool": "bash", "callID": "c", "metadata": {"m": 1}, "x": null,
            "state": {"status": "pending", "input": {}, "raw": "{"}}),
        json!({"type": "tool", "tool": "bash", "state": {"status": "running", "input": 1,
            "title": "t", "time": {"start": 1}, "metadata": {"output": "so far"}}}),
        json!({"type": "tool", "tool": "bash", "state": {"status": "completed", "input": {"a": 1},
            "output": {"stdout": ""}, "time": {"start": 1, "end": 2}, "attachments": []}}),
        json!({"type": "tool", "tool": "bash", "state": {"status": "error", "input": {},
            "error": "no", "time": {"start": 1, "end": 2}, "code": 7}}),
        json!({"type": "file", "filename": "a.png", "mediaType": "image/png", "url": "u", "x": 1}),
        json!({"type": "step-start", "snapshot": "s"}),
        json!({"type": "step-finish", "reason": "stop", "cost": 0.5, "x": {},
            "tokens": {"input": 1, "output": 2, "reasoning": 0, "cache": {"read": 3, "write": 4}}}),
        json!({"type": "interaction", "status": "declined", "answer": {"grant": "deny"}, "x": 1,
            "request": permission()}),
        json!({"type": "subtask", "prompt": "p", "agent": "a"}),
        json!({"type": "from-the-future", "deep": {"er": [true]}}),
    ] {
        let mut part = json!({"id": "p", "sessionID": "s", "messageID": "m"});
        part.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(round_trip::<Part>(&part), part);
    }
}

#[test]
fn a_tool_call_is_known_by_any_spelling_of_its_id() {
    for name in ["callID", "callId", "toolCallId", "toolUseId"] {
        let part: Part = serde_json::from_value(json!({
            "type": "tool", "tool": "bash", "state": {"status": "pending"}, name: "c1"
        }))
        .unwrap();
        match part.body {
            PartBody::Tool(tool) => assert_eq!(tool.call_id, "c1", "{name}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tool_call_of_a_later_kind_survives_untouched() {
    let part = json!({"id": "p", "sessionID": "", "messageID": "", "type": "tool", "tool": "x",
        "state": {"status": "suspended", "why": "approval"}});
    assert!(matches!(
        serde_json::from_value::<Part>(part.clone()).unwrap().body,
        PartBody::Other(_)
    ));
    assert_eq!(round_trip::<Part>(&part), part);
}
