//! What holds of every part, event and tool call.

use proptest::prelude::*;
use sandbox_sdk::types::{Event, EventBody, Part, PartUpdated, ToolState};
use serde_json::{Map, Value, json};

use crate::support::round_trip;

/// Any JSON, as deep as events go.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z]{1,8}", inner, 0..4)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_fields() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::hash_map("x[a-zA-Z]{1,8}", any_json(), 0..5)
        .prop_map(|fields| fields.into_iter().collect())
}

fn any_tool_state() -> impl Strategy<Value = Value> {
    let time = (any::<i32>(), proptest::option::of(any::<i32>())).prop_map(|(start, end)| {
        let mut time = json!({"start": start});
        if let Some(end) = end {
            time["end"] = json!(end);
        }
        time
    });
    let status = prop::sample::select(vec!["pending", "running", "completed", "error"]);
    (status, any_json(), any_json(), time, any_fields()).prop_map(
        |(status, input, output, time, more)| {
            let mut state = json!({"status": status, "input": input});
            if status == "completed" {
                state["output"] = output;
            }
            if status != "pending" {
                state["time"] = time;
            }
            state.as_object_mut().unwrap().extend(more);
            state
        },
    )
}

fn any_part() -> impl Strategy<Value = Value> {
    let text = (prop::sample::select(vec!["text", "reasoning"]), ".{0,40}")
        .prop_map(|(kind, text)| json!({"type": kind, "text": text}));
    let tool = any_tool_state()
        .prop_map(|state| json!({"type": "tool", "callID": "c", "tool": "bash", "state": state}));
    let unknown = "x[a-z-]{1,8}".prop_map(|kind| json!({"type": kind}));
    (prop_oneof![text, tool, unknown], "[a-z0-9_]{1,8}", any_fields()).prop_map(
        |(mut part, id, more)| {
            let fields = part.as_object_mut().unwrap();
            fields.extend(more);
            fields.insert("id".into(), json!(id));
            fields.insert("sessionID".into(), json!("s"));
            fields.insert("messageID".into(), json!("m"));
            part
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_part_survives(part in any_part()) {
        prop_assert_eq!(round_trip::<Part>(&part), part);
    }

    #[test]
    fn any_event_survives(kind in "[a-z.]{1,20}", data in any_fields()) {
        let event = json!({"type": kind, "data": data});
        prop_assert_eq!(round_trip::<Event>(&event), event);
    }

    #[test]
    fn any_update_survives_its_event(part in any_part(), delta in proptest::option::of(".{0,9}")) {
        let update = PartUpdated {
            part: serde_json::from_value(part).unwrap(),
            delta,
            extra: Map::new(),
        };
        let event = Event::new("message.part.updated", &update).unwrap();
        prop_assert_eq!(event.body(), EventBody::PartUpdated(Box::new(update)));
    }

    #[test]
    fn no_json_makes_reading_an_event_fail_hard(value in any_json()) {
        if let Ok(event) = serde_json::from_value::<Event>(value) {
            event.body();
        }
    }

    #[test]
    fn a_settled_call_is_told_from_an_open_one(state in any_tool_state()) {
        let settled = matches!(state["status"].as_str(), Some("completed" | "error"));
        prop_assert_eq!(serde_json::from_value::<ToolState>(state).unwrap().is_settled(), settled);
    }
}
