//! Events, and the gateway's frames around them.

use sandbox_sdk::types::{
    AgentEventFrame, ClientFrame, Event, EventBody, ServerFrame, TurnDone, TurnState,
};
use serde_json::{Value, json};

use crate::support::{body, round_trip};

#[test]
fn an_event_is_read_in_every_spelling() {
    let data = json!({"part": {"id": "p", "type": "text", "text": ""}, "delta": "x"});
    let mut inline = data.clone();
    inline["type"] = json!("message.part.updated");
    for event in [
        json!({"type": "message.part.updated", "data": data}),
        json!({"type": "message.part.updated", "properties": data}),
        inline,
    ] {
        match body(event) {
            EventBody::PartUpdated(update) => assert_eq!(update.delta.as_deref(), Some("x")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_event_of_an_unknown_type_survives_and_says_nothing() {
    let event = json!({"type": "weather.changed", "data": {"to": "rain", "n": [1, 2.5, null]}});
    assert_eq!(round_trip::<Event>(&event), event);
    assert_eq!(body(event), EventBody::Other);
    assert_eq!(body(json!({"type": "result", "data": {"finalText": 7}})), EventBody::Other);
}

#[test]
fn a_done_says_how_the_turn_ended_in_any_words() {
    let outcome = |data: Value| match body(json!({"type": "done", "data": data})) {
        EventBody::Done(done) => done.outcome,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(json!({"outcome": "completed"})), TurnState::Completed);
    assert_eq!(outcome(json!({"outcome": {"type": "success"}})), TurnState::Completed);
    assert_eq!(outcome(json!({"outcome": {"status": "cancelled"}})), TurnState::Aborted);
    assert_eq!(outcome(json!({"outcome": "interrupted"})), TurnState::Interrupted);
    assert_eq!(outcome(json!({"outcome": "exploded"})), TurnState::Failed);
    assert_eq!(outcome(json!({"outcome": "running"})), TurnState::Failed);
    assert_eq!(outcome(json!({})), TurnState::Completed);
}

#[test]
fn a_terminal_frame_without_a_type_is_known_by_its_outcome() {
    let done = body(json!({"outcome": "aborted", "tokenUsage": {"inputTokens": 3}}));
    match done {
        EventBody::Done(TurnDone { outcome, token_usage, .. }) => {
            assert_eq!((outcome, token_usage.input_tokens), (TurnState::Aborted, 3));
        }
        other => panic!("{other:?}"),
    }
    assert!(serde_json::from_value::<Event>(json!({"no": "type"})).is_err());
}

#[test]
fn gateway_frames_stand_on_the_wire_as_agreed() {
    let event = Event::new("done", &json!({"outcome": "completed"})).unwrap();
    let frame = AgentEventFrame {
        channel: "session:s".into(),
        seq: 4,
        timestamp: 9,
        replay: true,
        data: event,
    };
    let text = serde_json::to_value(ServerFrame::AgentEvent(Box::new(frame))).unwrap();
    assert_eq!(
        text,
        json!({"type": "agent.event", "channel": "session:s", "seq": 4,
        "timestamp": 9, "replay": true,
        "data": {"type": "done", "data": {"outcome": "completed"}}})
    );
    let update = ClientFrame::TokenUpdate { token: "t".into() };
    assert_eq!(
        serde_json::to_value(update).unwrap(),
        json!({"type": "token.update", "token": "t"})
    );
    let unknown = json!({"type": "weather", "x": 1});
    assert_eq!(round_trip::<ServerFrame>(&unknown), unknown);
}
