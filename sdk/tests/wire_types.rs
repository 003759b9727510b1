//! What travels survives: fields and event types of later versions too.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sandbox_sdk::types::{
    AgentEventFrame, AnswerKind, BackendChoice, ClientFrame, Connection, CreateProject,
    CreateSandbox, Event, EventBody, InteractionAnswer, InteractionKind, InteractionRequest,
    Outcome, Part, PartBody, PartUpdated, Resources, Sandbox, SandboxStatus, ServerFrame,
    SessionStatus, ToolState, TurnDone, TurnRecord, TurnResult, TurnState,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
}

/// A request with everything in it, also what nobody knows yet.
fn permission() -> Value {
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

fn body(event: Value) -> EventBody {
    serde_json::from_value::<Event>(event).unwrap().body()
}

#[test]
fn the_statuses_of_both_vocabularies_are_understood() {
    for (word, status) in [
        ("pending", SandboxStatus::Pending),
        ("provisioning", SandboxStatus::Provisioning),
        ("ready", SandboxStatus::Running),
        ("running", SandboxStatus::Running),
        ("degraded", SandboxStatus::Running),
        ("suspended", SandboxStatus::Stopped),
        ("stopped", SandboxStatus::Stopped),
        ("failed", SandboxStatus::Failed),
        ("expired", SandboxStatus::Expired),
        ("deleted", SandboxStatus::Deleted),
        ("hibernating", SandboxStatus::Other("hibernating".into())),
    ] {
        assert_eq!(SandboxStatus::from(word), status);
    }
    assert_eq!(round_trip::<SandboxStatus>(&json!("hibernating")), "hibernating");
}

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
fn records_keep_what_this_version_does_not_know() {
    let sandbox = json!({"id": "s", "status": "running", "createdAt": "t", "region": "eu",
        "connection": {"sidecarUrl": "u", "authToken": "a", "edgeStatus": "failed"}});
    assert_eq!(round_trip::<Sandbox>(&sandbox), sandbox);
    let status = json!({"sessionId": "s", "state": "idle", "lastSeq": 1, "epoch": "e", "x": 1});
    assert_eq!(round_trip::<SessionStatus>(&status), status);
    let record = json!({"sessionId": "s", "turnId": "t", "state": "failed", "finalText": "",
        "parts": [], "tokenUsage": {"inputTokens": 1, "outputTokens": 2, "cost": 0.1},
        "error": {"message": "m", "code": "C", "details": {}}, "model": "demo", "firstSeq": 1,
        "lastSeq": 2, "startedAt": 3, "endedAt": 4, "x": 1});
    assert_eq!(round_trip::<TurnRecord>(&record), record);
    let result = json!({"finalText": "f", "tokenUsage": {"inputTokens": 1, "outputTokens": 2},
        "metadata": {"sessionId": "s", "turnId": "t", "traceId": "x"}, "timing": {}});
    assert_eq!(round_trip::<TurnResult>(&result), result);
}

#[test]
fn older_spellings_are_read() {
    let connection: Connection =
        serde_json::from_value(json!({"runtimeUrl": "u", "authToken": "a"})).unwrap();
    assert_eq!(connection.sidecar_url, "u");
    let resources: Resources = serde_json::from_value(json!({"cpu": 2, "memoryMb": 512})).unwrap();
    assert_eq!((resources.cpu_cores, resources.memory_mb), (Some(2.0), Some(512)));
    let create: CreateSandbox = serde_json::from_value(json!({})).unwrap();
    assert_eq!(create, CreateSandbox::default());
}

#[test]
fn a_sandboxs_place_is_read_by_both_of_its_names_at_once() {
    let both = json!({"sidecarUrl": "u", "runtimeUrl": "v", "authToken": "a",
        "authTokenExpiresAt": "2026-01-01T00:00:00.000Z"});
    let connection: Connection = serde_json::from_value(both.clone()).unwrap();
    assert_eq!(connection.sidecar_url, "u");
    assert_eq!(round_trip::<Connection>(&both), both);
    assert!(serde_json::from_value::<Connection>(json!({"authToken": "a"})).is_err());
}

#[test]
fn every_spelling_of_a_sandboxs_limits_means_the_same() {
    let read = |resources: Value| serde_json::from_value::<Resources>(resources).unwrap();
    for (cpu, memory) in [("cpuCores", "memoryMB"), ("cpu", "memoryMb"), ("cpu", "memory")] {
        let resources = read(json!({cpu: 0.5, memory: 256}));
        assert_eq!((resources.cpu_cores, resources.memory_mb), (Some(0.5), Some(256)));
        assert!(resources.extra.is_empty(), "{resources:?}");
    }
    for storage in ["storageMb", "storageMB", "storage"] {
        assert_eq!(read(json!({storage: 512})).storage_mb, Some(512));
    }
    assert_eq!(read(json!({"diskGB": 0.5})).disk_gb, Some(0.5));
}

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

#[test]
fn what_a_sandbox_is_made_with_does_not_show() {
    let create: CreateSandbox = serde_json::from_value(json!({
        "env": {"TOKEN": "secret"}, "backend": {"type": "opencode", "apiKey": "secret"},
        "git": {"url": "u", "auth": {"token": "secret"}}, "secrets": ["NAME"], "metadata": {"a": "secret"},
    }))
    .unwrap();
    let shown = format!("{create:?}");
    assert!(!shown.contains("secret\"") && shown.contains("TOKEN"), "{shown}");
    let project: CreateProject = serde_json::from_value(json!({
        "container": {"env": {"TOKEN": "secret"}},
        "backend": {"authFiles": [{"path": "a", "content": "secret"}]},
    }))
    .unwrap();
    assert!(!format!("{project:?}").contains("secret\""));
}

#[test]
fn a_connections_token_does_not_show() {
    let connection: Connection =
        serde_json::from_value(json!({"sidecarUrl": "u", "authToken": "secret"})).unwrap();
    assert!(!format!("{connection:?}").contains("secret"));
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
