//! What becomes of a question that is not answered: in time, by a stop, with its sandbox.

use std::time::Duration;

use serde_json::{Value, json};

use super::chat::{Chat, QUESTION, interactions, kinds};
use crate::support::{Process, Product};

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_expires_and_the_agent_is_told() {
    let product = Product::start_with(|config| config.answer_seconds = 1).await;
    let chat = Chat::new(&product).await;
    chat.careful("t1", "run: echo really > proof.txt").await;
    let record = chat.record("t1").await;
    let log = chat.log().await;
    let asked = &log.iter().find(|event| event.1 == "interaction").unwrap().2["request"];
    assert_eq!(record["state"], "completed", "{record}");
    assert!(record["finalText"].as_str().unwrap().contains("nobody answered"), "{record}");
    assert_eq!(interactions(&record)[0].1, "expired");
    assert!(!chat.has("proof.txt").await);
    chat.waits_no_longer_for(asked, "expired").await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_back_what_is_asked() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    chat.careful("t1", "run: echo really > proof.txt").await;
    let asked = chat.asked().await;
    let abort = product.post(&format!("{}/abort", chat.path()), json!({})).await.expect(200);
    assert_eq!(abort["cancelled"], json!(true));
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "aborted", "{record}");
    assert_eq!(interactions(&record)[0].1, "cancelled");
    assert!(chat.open().await.is_empty());
    assert!(!chat.has("proof.txt").await);
    let log = chat.log().await;
    assert_eq!(
        kinds(&log),
        ["execution.started", "interaction", "interaction.cancel", "result", "done"]
    );
    chat.waits_no_longer_for(&asked, "aborted").await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_waits_for_a_person_does_not_run_out_of_time() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    let limits = json!({"maxDurationMs": 12_000});
    product.dispatch_with(&chat.sandbox, "s1", "t1", QUESTION, limits).await.expect(202);
    let asked = chat.asked().await;
    tokio::time::sleep(Duration::from_millis(12_500)).await;
    let answer = json!({"id": asked["id"], "outcome": "accepted", "data": {"q1": "red"}});
    chat.answer(answer).await.expect(200);
    let record = chat.record("t1").await;
    assert_eq!((&record["state"], &record["error"]), (&json!("completed"), &Value::Null));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_goes_takes_what_is_asked_with_it() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    chat.begin("t1", QUESTION).await;
    let asked = chat.asked().await;
    product.post(&format!("/v1/sandboxes/{}/stop", chat.sandbox), json!({})).await.expect(200);
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "interrupted", "{record}");
    assert_eq!(interactions(&record)[0].1, "cancelled");
    let log = chat.log().await;
    assert_eq!(
        kinds(&log),
        ["execution.started", "interaction", "interaction.cancel", "error", "result", "done"]
    );
    let late = json!({"id": asked["id"], "outcome": "accepted", "data": {"q1": "red"}});
    chat.answer(late).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_that_is_killed_leaves_nothing_asked() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 0).await;
    let (sandbox, asked) = {
        let chat = Chat::new(&first.product).await;
        chat.begin("t1", QUESTION).await;
        let asked = chat.asked().await;
        (chat.sandbox, asked)
    };
    first.kill();
    let second = Process::start(data.path(), 0).await;
    let chat = Chat { product: &second.product, sandbox, session: "s1" };
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "interrupted", "{record}");
    assert_eq!(interactions(&record)[0].1, "cancelled");
    let log = chat.log().await;
    assert_eq!(
        kinds(&log),
        ["execution.started", "interaction", "interaction.cancel", "error", "result", "done"]
    );
    let late = json!({"id": asked["id"], "outcome": "accepted", "data": {"q1": "red"}});
    chat.answer(late.clone()).await.refused(404, "NOT_FOUND");
    assert!(chat.open().await.is_empty());
    // The session goes on.
    chat.begin("t2", QUESTION).await;
    let asked = chat.asked().await;
    let answer = json!({"id": asked["id"], "outcome": "declined"});
    chat.answer(answer).await.expect(200);
    let record = chat.record("t2").await;
    assert_eq!(interactions(&record)[0].1, "declined");
    assert_eq!(record["state"], "completed");
    assert!(second.terminate().await.success());
}
