//! What belongs to somebody else does not exist.

use serde_json::{Value, json};

use crate::support::{TestApp, message, turn_id};

/// Every server function that names a chat or a turn, with arguments that name these.
fn calls_on(chat: &str, turn: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("open_chat", json!({"chat_id": chat})),
        ("earlier_messages", json!({"chat_id": chat, "before": turn})),
        ("rename_chat", json!({"chat_id": chat, "title": "Mine now"})),
        ("delete_chat", json!({"chat_id": chat})),
        ("refresh_token", json!({"chat_id": chat})),
        ("start_turn", message(Some(chat), "Let me in")),
        ("turn_status", json!({"turn_id": turn})),
        ("stop_turn", json!({"turn_id": turn})),
        (
            "answer_interaction",
            json!({"turn_id": turn, "answer": {"id": "a", "outcome": "accepted", "data": {}}}),
        ),
        ("complete_turn", json!({"turn_id": turn, "report": {}})),
    ]
}

#[tokio::test]
async fn every_server_function_is_covered_here() {
    let mut covered: Vec<String> =
        calls_on("", "").into_iter().map(|(name, _)| format!("/api/{name}")).collect();
    covered.extend(["/api/list_chats", "/api/balance", "/api/list_options"].map(str::to_owned));
    covered.sort();
    let mut served: Vec<String> =
        leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path.to_owned()).collect();
    served.sort();
    assert_eq!(covered, served);
}

#[tokio::test]
async fn somebody_elses_chat_or_turn_is_not_found() {
    let app = TestApp::start().await;
    let mut alice = app.visitor();
    let started = alice.start_turn("Private").await;
    let (chat, turn) =
        (started["chat"]["id"].as_str().unwrap(), started["turn_id"].as_str().unwrap());
    let before = alice.call("open_chat", json!({"chat_id": chat})).await.ok();

    let eve = app.guest().await;
    for (name, arguments) in calls_on(chat, turn) {
        let answer = eve.call(name, arguments).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found".into()), "{name}");
        assert!(!answer.body.contains("Private"), "{name}");
    }
    assert_eq!(eve.visit(&format!("/chat/{chat}")).await.status, 404);

    let after = alice.call("open_chat", json!({"chat_id": chat})).await.ok();
    assert_eq!(before["summary"]["title"], after["summary"]["title"]);
    assert_eq!(before["messages"], after["messages"]);
}

#[tokio::test]
async fn what_nobody_has_is_not_found_either() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    for (name, arguments) in calls_on(&turn_id(), &turn_id()) {
        let answer = guest.call(name, arguments).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found".into()), "{name}");
    }
}

#[tokio::test]
async fn ids_that_are_none_are_refused() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    for id in
        ["", "..%2f..", "../../etc/passwd", "a\0b", "\u{202e}", &"x".repeat(5_000), "' OR 1=1 --"]
    {
        for (name, arguments) in calls_on(id, id) {
            let answer = guest.call(name, arguments).await;
            assert!(
                matches!(answer.status.as_u16(), 400 | 404),
                "{name} {id:?}: {}",
                answer.status
            );
        }
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_act_on() {
    let app = TestApp::start().await;
    let mut alice = app.visitor();
    let started = alice.start_turn("Private").await;
    let (chat, turn) =
        (started["chat"]["id"].as_str().unwrap(), started["turn_id"].as_str().unwrap());
    for (name, arguments) in calls_on(chat, turn) {
        let answer = app.call(name, arguments).await;
        let expected = match name {
            // A page that may be anybody's, or the first message of a new guest: not theirs.
            "open_chat" | "start_turn" => (404, "not_found".into()),
            _ => (401, "unauthenticated".into()),
        };
        assert_eq!((answer.status.as_u16(), answer.code()), expected, "{name}");
    }
    assert_eq!(app.visitor().visit(&format!("/chat/{chat}")).await.status, 404);
}

#[tokio::test]
async fn an_account_does_not_answer_more_often_than_a_person_can() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let answer = || {
        let answer = json!({"id": "a", "outcome": "declined"});
        guest.call("answer_interaction", json!({"turn_id": turn_id(), "answer": answer}))
    };
    assert_eq!(answer().await.status, 404);
    let mut last = answer().await;
    // Allowances grow back while this asks: far more tries than a minute's worth.
    for _ in 0..2_000 {
        if last.status != 404 {
            break;
        }
        last = answer().await;
    }
    assert_eq!((last.status.as_u16(), last.code()), (429, "rate_limited".into()));
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
    let other = app.guest().await;
    let asked = json!({"turn_id": turn_id(), "answer": {"id": "a", "outcome": "declined"}});
    assert_eq!(other.call("answer_interaction", asked).await.status, 404, "nobody else's");
}

#[tokio::test]
async fn forged_numbers_change_no_balance() {
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn("Hello").await;
    let turn = started["turn_id"].as_str().unwrap();
    let before = guest.call("balance", json!({})).await.ok();
    for report in [
        json!({"input_tokens": 0, "output_tokens": 0}),
        json!({"input_tokens": u64::MAX, "output_tokens": u64::MAX}),
        json!({}),
    ] {
        let answer = guest.call("complete_turn", json!({"turn_id": turn, "report": report})).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
    for report in [
        json!({"input_tokens": -1}),
        json!({"output_tokens": 1.5}),
        json!({"output_tokens": "NaN"}),
        json!(null),
    ] {
        let answer = guest.call("complete_turn", json!({"turn_id": turn, "report": report})).await;
        assert_eq!(answer.status, 400, "{report}");
    }
    let after = guest.call("balance", json!({})).await.ok();
    let total = |balance: &Value| {
        balance["available"].as_i64().unwrap() + balance["held"].as_i64().unwrap()
    };
    assert_eq!(total(&before), total(&after));
}
