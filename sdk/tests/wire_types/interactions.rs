//! What an agent asks a person, and what it is answered.

use sandbox_sdk::types::{
    AnswerKind, Event, EventBody, InteractionAnswer, InteractionKind, InteractionRequest, Outcome,
    Part, PartBody, SessionStatus,
};
use serde_json::{Value, json};

use crate::support::{body, permission, round_trip};

#[test]
fn a_request_to_a_person_survives_with_kinds_and_fields_that_nobody_knows() {
    for kind in ["question", "permission", "plan", "acme.signature"] {
        let mut request = permission();
        request["kind"] = json!(kind);
        assert_eq!(round_trip::<InteractionRequest>(&request), request);
    }
    for event in [
        json!({"type": "interaction", "data": {"request": permission(), "sessionID": "s",
            "messageID": "m", "x": 1}}),
        json!({"type": "interaction.resolved", "data": {"id": "i", "status": "accepted",
            "answer": {"a": [1]}, "x": 1}}),
        json!({"type": "interaction.cancel", "data": {"id": "i", "reason": "expired", "x": 1}}),
    ] {
        assert_eq!(round_trip::<Event>(&event), event);
        let again = match body(event.clone()) {
            EventBody::Interaction(asked) => serde_json::to_value(asked),
            EventBody::InteractionResolved(resolved) => serde_json::to_value(resolved),
            EventBody::InteractionCancelled(cancelled) => serde_json::to_value(cancelled),
            other => panic!("{other:?}"),
        };
        assert_eq!(again.unwrap(), event["data"]);
    }
}

#[test]
fn a_request_that_says_little_can_be_answered() {
    let request: InteractionRequest = serde_json::from_value(json!({
        "id": "i", "allowedOutcomes": ["accepted", "postponed"],
        "answerSpec": {"fields": [
            {"key": "a", "type": "select", "options": [{"value": "x"}]}, {"key": "b", "type": "map"},
        ]},
    }))
    .unwrap();
    assert_eq!((request.kind, request.title.as_str()), (InteractionKind::Question, ""));
    assert_eq!(request.allowed_outcomes, [Outcome::Accepted]);
    let [choice, place] = request.answer_spec.fields.as_slice() else { panic!() };
    match &choice.kind {
        AnswerKind::Select { options, multi: false, allow_custom: false } => {
            assert_eq!(options[0].label, "x");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(place.kind, AnswerKind::Other("map".into()));
    let bare: InteractionRequest = serde_json::from_value(json!({"id": "i"})).unwrap();
    assert_eq!(bare.allowed_outcomes, Outcome::ALL);
}

#[test]
fn an_interaction_in_a_state_of_a_later_version_survives_untouched() {
    let part = json!({"id": "i", "sessionID": "", "messageID": "", "type": "interaction",
        "status": "postponed", "request": permission()});
    assert!(matches!(
        serde_json::from_value::<Part>(part.clone()).unwrap().body,
        PartBody::Other(_)
    ));
    assert_eq!(round_trip::<Part>(&part), part);
}

#[test]
fn an_answer_does_not_show_what_was_answered() {
    let answer = json!({"id": "i", "outcome": "accepted", "data": {"key": "hunter2"}});
    assert_eq!(round_trip::<InteractionAnswer>(&answer), answer);
    let answer: InteractionAnswer = serde_json::from_value(answer).unwrap();
    assert!(!format!("{answer:?}").contains("hunter2"));
}

#[test]
fn a_session_that_waits_for_a_person_says_so_in_a_number_or_a_list() {
    let waiting = |value: Value| {
        let status = json!({"sessionId": "s", "state": "idle", "outstandingInteractions": value});
        serde_json::from_value::<SessionStatus>(status).unwrap().outstanding_interactions
    };
    assert_eq!([waiting(json!(2)), waiting(json!([{"id": "i"}])), waiting(json!(null))], [2, 1, 0]);
}
