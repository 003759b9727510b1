//! An agent asks a person in the middle of a turn.

mod chat;
mod endings;
mod permissions;
mod unattended;

use serde_json::{Value, json};

use crate::support::Product;
use chat::{Chat, QUESTION, interactions, kinds};

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_its_answer_and_the_agent_goes_on_with_it() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    chat.begin("t1", QUESTION).await;
    let asked = chat.asked().await;
    assert_eq!(asked["kind"], "question");
    assert_eq!(asked["title"], "Which colour to use?");
    assert_eq!(asked["timeoutMs"], 600_000);
    let field = &asked["answerSpec"]["fields"][0];
    let values: Vec<_> =
        field["options"].as_array().unwrap().iter().map(|option| &option["value"]).collect();
    assert_eq!(values, ["red", "green", "blue"]);
    let status = product.get(&chat.path()).await.expect(200);
    assert_eq!(
        (&status["state"], &status["outstandingInteractions"]),
        (&json!("running"), &json!(1))
    );
    assert_eq!(status["activeExecutionId"], "t1");

    let answer = json!({"id": asked["id"], "outcome": "accepted", "data": {"q1": "dark blue"}});
    chat.answer(answer).await.expect(200);
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "completed", "{record}");
    assert!(record["finalText"].as_str().unwrap().contains("dark blue"), "{record}");
    assert_eq!(product.exec(&chat.sandbox, "cat answer.txt").await["stdout"], "dark blue\n");
    let expected = (asked["title"].clone(), json!("accepted"), json!({"q1": "dark blue"}));
    assert_eq!(interactions(&record), [expected]);
    let log = chat.log().await;
    assert_eq!(
        kinds(&log),
        ["execution.started", "interaction", "interaction.resolved", "result", "done"]
    );
    let event = log.iter().find(|event| event.1 == "interaction").unwrap();
    assert_eq!(event.2["request"], asked);
    assert_eq!((&event.2["sessionID"], &event.2["messageID"]), (&json!("s1"), &json!("msg_t1")));
    let event = log.iter().find(|event| event.1 == "interaction.resolved").unwrap();
    assert_eq!(
        event.2,
        json!({"id": asked["id"], "status": "accepted", "answer": {"q1": "dark blue"}})
    );
    assert!(chat.open().await.is_empty());
    let status = product.get(&chat.path()).await.expect(200);
    assert_eq!(status.get("outstandingInteractions"), None);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_refused_and_the_agent_goes_on_waiting() {
    let product = Product::start().await;
    let chat = Chat::new(&product).await;
    chat.careful("t1", "run: echo really > proof.txt").await;
    let id = chat.asked().await["id"].clone();
    let data = |data: Value| json!({"id": id, "outcome": "accepted", "data": data});
    for wrong in [
        json!({}),
        json!({"id": id}),
        json!({"id": id, "outcome": "perhaps"}),
        json!({"id": id, "outcome": "accepted", "data": 7}),
        json!({"id": id, "outcome": "cancelled"}),
        data(json!({})),
        data(json!({"grant": "allow_always"})),
        data(json!({"grant": ["allow_once"]})),
        data(json!({"grant": "allow_once", "feedback": 7})),
        data(json!({"grant": "allow_once", "more": "x"})),
        data(json!({"grant": "allow_once", "__proto__": {"x": 1}})),
    ] {
        let refused = chat.answer(wrong.clone()).await;
        refused.refused(400, "INVALID_INTERACTION_ANSWER");
    }
    let right = data(json!({"grant": "allow_once"}));
    let mut other = right.clone();
    other["id"] = json!("int_t1_7");
    chat.answer(other).await.refused(404, "NOT_FOUND");
    product.map("s2", &chat.sandbox).await;
    product.dispatch(&chat.sandbox, "s2", "t2", "hello").await.expect(202);
    let elsewhere = format!("{}/interactions", product.session_path(&chat.sandbox, "s2"));
    product.post(&elsewhere, right.clone()).await.refused(404, "NOT_FOUND");
    let nowhere = format!("{}/interactions", product.session_path(&chat.sandbox, "s3"));
    product.post(&nowhere, right.clone()).await.refused(404, "NOT_FOUND");
    assert_eq!(chat.open().await.len(), 1, "it waits");
    assert!(!chat.has("proof.txt").await);

    // The id may stand in the path.
    let path = format!("{}/interactions/{}", chat.path(), id.as_str().unwrap());
    let body = json!({"outcome": "accepted", "data": {"grant": "allow_once"}});
    product.post(&path, body).await.expect(200);
    assert_eq!(chat.record("t1").await["state"], "completed");
    assert!(chat.has("proof.txt").await);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_answer_again_does_no_harm_and_another_one_is_too_late() {
    let product = Product::start_with(|config| config.demo_pace_ms = 20).await;
    let chat = Chat::new(&product).await;
    let text = "Write greet.sh and run it:\n```sh\necho hi\n```";
    chat.careful("t1", text).await;
    let first = chat.grant("allow_once").await;
    let second = chat.asked().await;
    assert_eq!(
        (&first["subject"], &second["subject"]),
        (&json!("greet.sh"), &json!("sh greet.sh"))
    );
    let answer =
        |grant: &str| json!({"id": first["id"], "outcome": "accepted", "data": {"grant": grant}});
    chat.answer(answer("allow_once")).await.expect(200);
    chat.answer(answer("allow_session")).await.refused(409, "INVALID_STATE");
    chat.grant("allow_once").await;
    assert_eq!(chat.record("t1").await["state"], "completed");
    chat.answer(answer("allow_once")).await.expect(200);
    chat.answer(answer("allow_session")).await.refused(404, "NOT_FOUND");
    // Also while the session's next turn runs.
    chat.begin("t2", QUESTION).await;
    chat.asked().await;
    chat.answer(answer("allow_once")).await.expect(200);
    chat.answer(answer("allow_session")).await.refused(404, "NOT_FOUND");
    let resolved = chat.log().await.into_iter().filter(|event| event.1 == "interaction.resolved");
    assert_eq!(resolved.count(), 2);
    product.stop().await;
}
