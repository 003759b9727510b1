//! The agent asks a person.

use sandbox_sdk::types::{InteractionKind, InteractionRequest, Outcome, WireFormat};
use serde_json::{Value, json};

use super::{FORMATS, bench::Bench};

/// Allows what is called allowed, and nothing else.
fn strict(request: &InteractionRequest) -> (Outcome, Value) {
    if request.subject.as_deref().unwrap_or_default().contains("allowed") {
        (Outcome::Accepted, json!({"grant": "allow_once"}))
    } else {
        (Outcome::Declined, json!({"grant": "deny", "feedback": "Rather not."}))
    }
}

#[tokio::test]
async fn what_is_denied_is_not_done_and_what_is_allowed_is() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let script = r#"RUN[touch allowed-1] RUN[touch denied-1]
            CALL[write {"file_path":"allowed-2","content":"new"}]
            CALL[write {"file_path":"denied-2","content":"new"}]
            CALL[edit {"file_path":"allowed-2","old_string":"new","new_string":"newer"}] SAY[Done.]"#;
        let turn = bench.ask_with(json!("careful"), "t1", script, strict).await;
        turn.assert_completed("Done.");
        assert_eq!(turn.steps(), ["bash ok", "bash failed", "write ok", "write failed", "edit ok"]);
        let there = |name: &str| bench.sandbox.on_host(&format!("workspace/{name}")).exists();
        assert!(there("allowed-1") && !there("denied-1") && !there("denied-2"));
        let text = std::fs::read_to_string(bench.sandbox.on_host("workspace/allowed-2")).unwrap();
        assert_eq!(text, "newer");
        let asked = turn.asked();
        assert!(asked.iter().all(|request| request.kind == InteractionKind::Permission));
        let subjects: Vec<_> = asked.iter().filter_map(|asked| asked.subject.as_deref()).collect();
        let expected = ["touch allowed-1", "touch denied-1", "allowed-2", "denied-2", "allowed-2"];
        assert_eq!(subjects, expected);
        assert!(asked[4].body.as_deref().unwrap().contains("-new\n+newer"), "{:?}", asked[4]);
        let body = bench.last_request().body.to_string();
        assert!(body.contains("The user denied this and said: Rather not."), "{body}");
    }
}

#[tokio::test]
async fn what_is_only_looked_at_is_not_asked_for() {
    let bench = Bench::start(WireFormat::Messages).await;
    let script = r#"CALL[list {}] CALL[search {"glob":"*"}] SAY[Seen.]"#;
    bench.ask_as(json!("careful"), "t1", script).await.assert_completed("Seen.");
}

#[tokio::test]
async fn a_question_is_answered_by_an_option_or_in_own_words_or_not_at_all() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let call = |options: &str| {
            format!(r#"CALL[ask_user {{"question":"Which colour?"{options}}}] SAY[I see.]"#)
        };
        for (turn_id, options, outcome, data, told) in [
            (
                "t1",
                r#","options":["red","blue"]"#,
                Outcome::Accepted,
                json!({"q1": "blue"}),
                "The user answered: blue",
            ),
            (
                "t2",
                "",
                Outcome::Accepted,
                json!({"q1": "like the sea"}),
                "The user answered: like the sea",
            ),
            (
                "t3",
                r#","options":["red","blue"],"multiple":true"#,
                Outcome::Accepted,
                json!({"q1": ["red", "pink"]}),
                "The user answered: red, pink",
            ),
            ("t4", "", Outcome::Declined, json!({}), "The user did not want to answer."),
        ] {
            let person = |request: &InteractionRequest| {
                assert_eq!(request.kind, InteractionKind::Question);
                assert_eq!(request.title, "Which colour?");
                (outcome, data.clone())
            };
            let turn = bench.ask_with(Value::Null, turn_id, &call(options), person).await;
            turn.assert_completed("I see.");
            let body = bench.last_request().body.to_string();
            assert!(body.contains(told), "{told}: {body}");
        }
    }
}

#[tokio::test]
async fn a_turn_that_is_stopped_while_it_asks_does_nothing() {
    let bench = Bench::start(WireFormat::Messages).await;
    let run = bench.turn_as(json!("careful"), "t1", "RUN[touch denied] SAY[x]");
    let turn = bench.stop_run(&run, async |event| event.kind == "interaction").await;
    assert_eq!(turn.outcome, "aborted", "{}", turn.told());
    assert_eq!(turn.steps(), ["bash failed"]);
    let cancelled = turn.events.iter().find(|event| event.kind == "interaction.cancel").unwrap();
    assert_eq!(cancelled.data["reason"], "withdrawn");
    assert!(!bench.sandbox.on_host("workspace/denied").exists());
}
