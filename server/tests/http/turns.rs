//! Turns through the whole server: database, orchestrator, a real sandbox.

use serde_json::{Value, json};

use crate::support::{Running, message};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_by_a_sandbox_and_paid_once() {
    let server = Running::start(&[]).await;
    server.ready().await;
    let guest = server.guest("Run the command: echo umbrella-$((40+2))").await;
    let turn = guest.started["turn_id"].as_str().unwrap();

    let ended = guest.settled(turn).await;
    assert_eq!(ended["state"], "completed", "{ended}");
    let message = &ended["outcome"]["message"];
    assert_eq!((&message["role"], &message["state"]), (&json!("assistant"), &json!("complete")));
    assert!(message["parts"].to_string().contains("umbrella-42"), "it really ran: {message}");
    let receipt = &message["receipt"];
    let charged = receipt["charged"].as_i64().unwrap();
    assert!(charged > 0, "{receipt}");

    let balance = guest.call("balance", json!({})).await.ok();
    assert_eq!(balance["held"], 0);
    assert_eq!(balance["available"].as_i64().unwrap(), 500_000_000 - charged);
    let forged =
        json!({"turn_id": turn, "report": {"input_tokens": 0, "output_tokens": 9_999_999}});
    let again = guest.call("complete_turn", forged).await.ok();
    assert_eq!(again["outcome"]["message"]["receipt"], *receipt);
    assert_eq!(guest.call("balance", json!({})).await.ok(), balance);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chat_comes_by_its_end_and_whole_where_it_is_asked_for() {
    let server = Running::start(&["--turns-per-minute=0"]).await;
    let guest = server.guest("run: echo number-1-").await;
    guest.settled(guest.started["turn_id"].as_str().unwrap()).await;
    let chat = guest.started["chat"]["id"].as_str().unwrap().to_owned();
    for number in 2..=14 {
        let request = message(Some(&chat), &format!("run: echo number-{number}-"));
        let started = guest.call("start_turn", request).await.ok();
        guest.settled(started["turn_id"].as_str().unwrap()).await;
    }
    let opened = guest.call("open_chat", json!({"chat_id": chat})).await.ok();
    let messages = opened["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &opened["earlier"]), (24, &json!(true)));
    assert!(messages[0]["parts"].to_string().contains("number-3-"), "{}", messages[0]);

    let request = json!({"chat_id": chat, "before": messages[0]["turn_id"]});
    let found = guest.call("earlier_messages", request).await.ok();
    let earlier = found["messages"].as_array().unwrap();
    assert_eq!((earlier.len(), &found["earlier"]), (4, &json!(false)));
    assert!(earlier[0]["parts"].to_string().contains("number-1-"), "{}", earlier[0]);

    let request = json!({"chat_id": chat, "whole": true});
    let whole = guest.call("open_chat", request).await.ok();
    assert_eq!(whole["messages"], json!([&earlier[..], &messages[..]].concat()));
    assert_eq!(whole["earlier"], false);

    let address = format!("/chat/{chat}");
    let page = guest.visit(&address).await.body;
    assert!(page.contains("Show earlier messages") && page.contains("number-3-"));
    assert!(!page.contains("number-2-"));
    let page = guest.visit(&format!("{address}?messages=all")).await.body;
    assert!(!page.contains("Show earlier messages") && page.contains("number-1-"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_running_turn_carries_no_token() {
    let server = Running::start(&["--demo-pace-ms=50"]).await;
    let guest = server.guest("Write a long answer in markdown").await;
    let chat = guest.started["chat"]["id"].as_str().unwrap().to_owned();
    let turn = guest.started["turn_id"].as_str().unwrap();
    let running = guest.until(turn, |status| status["state"] != "provisioning").await;
    assert_eq!(running["state"], "running", "{running}");

    let grant = guest.call("refresh_token", json!({"chat_id": chat})).await.ok();
    let token = grant["token"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3, "a signed token");
    for path in ["/".to_owned(), format!("/chat/{chat}")] {
        let page = guest.visit(&path).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains(token) && !page.body.contains("eyJ"), "{path}");
    }
    let opened = guest.call("open_chat", json!({"chat_id": chat})).await.ok();
    assert_eq!(opened["active"]["turn_id"], *turn);
    assert!(!opened.to_string().contains("eyJ"), "nor does the chat");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_turn_keeps_its_partial_answer() {
    let server = Running::start(&["--demo-pace-ms=50"]).await;
    let guest = server.guest("Write a long answer in markdown").await;
    let turn = guest.started["turn_id"].as_str().unwrap();
    guest.until(turn, |status| status["state"] == "running").await;
    assert!(guest.call("stop_turn", json!({"turn_id": turn})).await.status.is_success());
    let ended = guest.settled(turn).await;
    assert_eq!(ended["state"], "stopped", "{ended}");
    assert_eq!(ended["outcome"]["message"]["state"], "stopped");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_turn_twice_is_one_answer_and_one_debit() {
    let server = Running::start(&[]).await;
    let guest = server.guest("Hello").await;
    let chat = guest.started["chat"]["id"].as_str().unwrap();
    let turn = guest.started["turn_id"].as_str().unwrap();
    guest.settled(turn).await;

    let mut twice = message(Some(chat), "And again");
    let second = twice["request"]["turn_id"].as_str().unwrap().to_owned();
    let (one, two) = tokio::join!(
        guest.call("start_turn", twice.clone()),
        guest.call("start_turn", twice.clone())
    );
    let (one, two) = (one.ok(), two.ok());
    assert_eq!(one["user_message"]["id"], two["user_message"]["id"]);
    let charged = guest.settled(&second).await["outcome"]["message"]["receipt"]["charged"].clone();
    twice["request"]["text"] = json!("Changed");
    guest.call("start_turn", twice).await;

    let opened = guest.call("open_chat", json!({"chat_id": chat})).await.ok();
    let of_second = |message: &&Value| message["turn_id"] == *second;
    assert_eq!(opened["messages"].as_array().unwrap().iter().filter(of_second).count(), 2);
    let first = opened["messages"][1]["receipt"]["charged"].as_i64().unwrap();
    let left = guest.call("balance", json!({})).await.ok()["available"].as_i64().unwrap();
    assert_eq!(left, 500_000_000 - first - charged.as_i64().unwrap());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_the_server_leaves_no_process_behind() {
    let server = Running::start(&["--demo-pace-ms=50"]).await;
    let guest = server.guest("Write a long answer in markdown").await;
    let turn = guest.started["turn_id"].as_str().unwrap().to_owned();
    guest.until(&turn, |status| status["state"] == "running").await;
    assert!(!server.processes().is_empty(), "a sandbox runs");
    let folder = server.stop().await;
    assert_eq!(crate::support::processes_of(folder.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_messages_a_minute_may_be_sent_is_configured() {
    // By default 30 may be sent: the second would be taken, and the 31st would not.
    for (limit, allowed, then) in [(1, 1, 429), (0, 30, 200)] {
        let server = Running::start(&[&format!("--turns-per-minute={limit}")]).await;
        let guest = server.guest("Hello").await;
        let chat = guest.started["chat"]["id"].as_str().unwrap();
        guest.settled(guest.started["turn_id"].as_str().unwrap()).await;
        for _ in 1..allowed {
            let turn = guest.call("start_turn", message(Some(chat), "Hello")).await.ok();
            guest.settled(turn["turn_id"].as_str().unwrap()).await;
        }
        let last = guest.call("start_turn", message(Some(chat), "Hello")).await;
        assert_eq!(last.status, then, "limit {limit}: {}", last.body);
        server.stop().await;
    }
}
