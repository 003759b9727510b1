//! An agent that may not do everything asks before it does.

use serde_json::json;

use super::chat::{Chat, interactions};
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_not_done_and_what_is_allowed_is() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    chat.careful("t1", "run: echo really > proof.txt").await;
    let asked = chat.asked().await;
    assert_eq!(
        (&asked["kind"], &asked["subject"]),
        (&json!("permission"), &json!("echo really > proof.txt"))
    );
    let data = json!({"grant": "deny", "feedback": "look first"});
    // A no stays a no, whatever the outcome says.
    let body = json!({"id": asked["id"], "outcome": "accepted", "data": data});
    chat.answer(body).await.expect(200);
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "completed", "{record}");
    assert!(record["finalText"].as_str().unwrap().contains("look first"), "{record}");
    let expected = (json!("Run a command"), json!("declined"), data);
    assert_eq!(interactions(&record), [expected]);
    let tools: Vec<_> = record["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["type"] == "tool")
        .map(|part| &part["state"]["status"])
        .collect();
    assert_eq!(tools, ["error"]);
    assert!(!chat.has("proof.txt").await);

    chat.careful("t2", "write proof.txt containing \"yes\"").await;
    let asked = chat.grant("deny").await;
    assert_eq!(
        (&asked["title"], &asked["subject"]),
        (&json!("Change a file"), &json!("proof.txt"))
    );
    assert!(asked["body"].as_str().unwrap().contains("yes"), "{asked}");
    chat.record("t2").await;
    assert!(!chat.has("proof.txt").await);

    chat.careful("t3", "write proof.txt containing \"yes\"").await;
    chat.grant("allow_once").await;
    chat.record("t3").await;
    assert_eq!(product.exec(&chat.sandbox, "cat proof.txt").await["stdout"], "yes");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_for_the_session_is_not_asked_again() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    chat.careful("t1", "run: echo 1 >> proof.txt").await;
    chat.grant("allow_session").await;
    chat.record("t1").await;
    chat.careful("t2", "run: echo 2 >> proof.txt").await;
    let record = chat.record("t2").await;
    assert_eq!((record["state"].as_str(), interactions(&record).len()), (Some("completed"), 0));
    assert_eq!(product.exec(&chat.sandbox, "cat proof.txt").await["stdout"], "1\n2\n");
    // An edit is something else.
    chat.careful("t3", "write other.txt containing \"x\"").await;
    chat.grant("deny").await;
    chat.record("t3").await;
    product.stop().await;
}
