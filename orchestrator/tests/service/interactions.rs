//! An agent asks a person in the middle of a turn.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Process, Product, eventually};

const QUESTION: &str = "ask me which colour to use: red, green or blue";

/// A session with an agent that may ask.
struct Chat<'a> {
    product: &'a Product,
    sandbox: String,
    session: &'static str,
}

impl<'a> Chat<'a> {
    async fn new(product: &'a Product) -> Self {
        let sandbox = product.sandbox().await;
        product.map("s1", &sandbox).await;
        Self { product, sandbox, session: "s1" }
    }

    fn path(&self) -> String {
        self.product.session_path(&self.sandbox, self.session)
    }

    /// Begins a turn of an agent that has to ask for commands and edits.
    async fn careful(&self, turn: &str, text: &str) {
        let body = json!({
            "turnId": turn,
            "parts": [{"type": "text", "text": text}],
            "backend": {"type": "demo", "profile": "careful"},
        });
        self.product.post(&format!("{}/messages", self.path()), body).await.expect(202);
    }

    async fn begin(&self, turn: &str, text: &str) {
        self.product.dispatch(&self.sandbox, self.session, turn, text).await.expect(202);
    }

    async fn open(&self) -> Vec<Value> {
        let answer = self.product.get(&format!("{}/interactions", self.path())).await.expect(200);
        answer["data"]["interactions"].as_array().unwrap().clone()
    }

    /// The one thing that the agent asks, once it does.
    async fn asked(&self) -> Value {
        eventually("the agent asks", async || {
            let mut open = self.open().await;
            assert!(open.len() < 2);
            open.pop()
        })
        .await
    }

    async fn answer(&self, body: Value) -> crate::support::Answer {
        self.product.post(&format!("{}/interactions", self.path()), body).await
    }

    async fn grant(&self, grant: &str) -> Value {
        let asked = self.asked().await;
        let outcome = if grant == "deny" { "declined" } else { "accepted" };
        let body = json!({"id": asked["id"], "outcome": outcome, "data": {"grant": grant}});
        self.answer(body).await.expect(200);
        asked
    }

    async fn record(&self, turn: &str) -> Value {
        self.product.record(&self.sandbox, self.session, turn).await
    }

    async fn log(&self) -> Vec<(u64, String, Value)> {
        self.product.log(&self.sandbox, self.session).await
    }

    /// The log says why, and an answer comes too late.
    async fn waits_no_longer_for(&self, asked: &Value, reason: &str) {
        let log = self.log().await;
        let cancelled = log.iter().find(|event| event.1 == "interaction.cancel").unwrap();
        assert_eq!(cancelled.2, json!({"id": asked["id"], "reason": reason}));
        let data = json!({"grant": "allow_once"});
        let late = json!({"id": asked["id"], "outcome": "accepted", "data": data});
        self.answer(late).await.refused(404, "NOT_FOUND");
    }

    async fn has(&self, file: &str) -> bool {
        self.product.exec(&self.sandbox, &format!("test -e {file}")).await["exitCode"] == 0
    }
}

/// The interactions in a turn's record: title, status and answer.
fn interactions(record: &Value) -> Vec<(Value, Value, Value)> {
    let parts = record["parts"].as_array().unwrap().iter();
    let interactions = parts.filter(|part| part["type"] == "interaction");
    interactions
        .map(|part| {
            assert_eq!(part["id"], part["request"]["id"]);
            assert_eq!(part["messageID"], format!("msg_{}", record["turnId"].as_str().unwrap()));
            (part["request"]["title"].clone(), part["status"].clone(), part["answer"].clone())
        })
        .collect()
}

/// Kinds of the log's events, without text and tools.
fn kinds(log: &[(u64, String, Value)]) -> Vec<&str> {
    let kinds = log.iter().map(|event| event.1.as_str());
    kinds.filter(|kind| *kind != "message.part.updated").collect()
}

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

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_expires_and_the_agent_is_told() {
    let product = Product::start_with(|config| config.answer_seconds = 1).await;
    let chat = Chat::new(&product).await;
    chat.careful("t1", "run: echo really > proof.txt").await;
    let asked = chat.asked().await;
    let record = chat.record("t1").await;
    assert_eq!(record["state"], "completed", "{record}");
    assert!(record["finalText"].as_str().unwrap().contains("nobody answered"), "{record}");
    assert_eq!(interactions(&record)[0].1, "expired");
    assert!(!chat.has("proof.txt").await);
    chat.waits_no_longer_for(&asked, "expired").await;
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
    let limits = json!({"maxDurationMs": 4000});
    product.dispatch_with(&chat.sandbox, "s1", "t1", QUESTION, limits).await.expect(202);
    let asked = chat.asked().await;
    tokio::time::sleep(Duration::from_millis(4500)).await;
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
