//! A turn in which nobody is asked: its agent hears so at once, and goes on.

use serde_json::{Value, json};

use super::chat::{Chat, QUESTION, interactions, kinds};
use crate::support::Product;

fn body(turn: &str, text: &str, profile: &str, posture: Value) -> Value {
    json!({
        "turnId": turn,
        "parts": [{"type": "text", "text": text}],
        "backend": {"type": "demo", "profile": profile},
        "interactions": posture,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_answered_at_once_and_shown_to_nobody() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    let messages = format!("{}/messages", chat.path());
    let question = body("t1", QUESTION, "default", json!({"question": false}));
    let receipt = product.post(&messages, question).await.expect(202);
    assert_eq!(receipt.get("warnings"), None, "{receipt}");
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "completed", "{record}");
    let said = record["finalText"].as_str().unwrap();
    assert!(said.contains("Nobody answers questions in this turn"), "{said}");
    assert_eq!(kinds(&chat.log().await), ["execution.started", "result", "done"]);

    let off = json!({"permission": false, "plan": false});
    let careful = body("t2", "run: echo really > proof.txt", "careful", off);
    product.post(&messages, careful).await.expect(202);
    let record = chat.record("t2").await;
    assert_eq!((&record["state"], interactions(&record).len()), (&json!("completed"), 0));
    let said = record["finalText"].as_str().unwrap();
    assert!(said.contains("Nobody is asked for permissions"), "{said}");
    assert!(!chat.has("proof.txt").await);

    // What is not switched off waits as ever, and the next turn has a posture of its own.
    let other = body("t3", QUESTION, "default", json!({"permission": false, "question": true}));
    product.post(&messages, other).await.expect(202);
    let asked = chat.asked().await;
    let answer = json!({"id": asked["id"], "outcome": "accepted", "data": {"q1": "red"}});
    chat.answer(answer).await.expect(200);
    assert_eq!(interactions(&chat.record("t3").await).len(), 1);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_start_a_turn_takes_it_and_names_what_it_passes_over() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    let runtime = format!("/v1/sandboxes/{}/runtime", chat.sandbox);
    let ways = [
        (format!("{}/messages", product.session_path(&chat.sandbox, "s2")), 202),
        (format!("{}/dispatch", product.session_path(&chat.sandbox, "s3")), 202),
        (format!("{runtime}/prompt"), 202),
        (format!("{runtime}/agents/run"), 200),
    ];
    for (number, (path, status)) in ways.iter().enumerate() {
        let (session, turn) = (format!("s{}", number + 2), format!("t{number}"));
        let mut asked = json!({
            "turnId": turn, "message": QUESTION, "interactions": {"question": false},
            "backend": {"type": "demo"}, "timeoutMs": 5, "metadata": {"a": "hidden"}, "foo": null,
        });
        if path.ends_with("messages") {
            asked["parts"] = json!([{"type": "text", "text": QUESTION}]);
        } else {
            asked["sessionId"] = json!(session);
        }
        let told = product.post(path, asked.clone()).await.expect(*status);
        let warnings = told["warnings"].to_string();
        assert!(warnings.contains("timeoutMs") && warnings.contains("metadata"), "{told}");
        let is_told = |name: &str| warnings.contains(name);
        assert!(!["hidden", "foo", "interactions"].into_iter().any(is_told), "{told}");
        let record = product.record(&chat.sandbox, &session, &turn).await;
        assert_eq!(record["state"], "completed", "{record}");
        asked["interactions"] = json!({"questions": false});
        asked["turnId"] = json!(format!("{turn}-wrong"));
        product.post(path, asked).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}
