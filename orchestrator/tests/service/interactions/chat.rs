//! A session whose agent asks, and whoever answers.

use serde_json::{Value, json};

use crate::support::{Product, eventually};

pub(super) const QUESTION: &str = "ask me which colour to use: red, green or blue";

/// A session with an agent that may ask.
pub(super) struct Chat<'a> {
    pub(super) product: &'a Product,
    pub(super) sandbox: String,
    pub(super) session: &'static str,
}

impl<'a> Chat<'a> {
    pub(super) async fn new(product: &'a Product) -> Self {
        let sandbox = product.sandbox().await;
        product.map("s1", &sandbox).await;
        Self { product, sandbox, session: "s1" }
    }

    pub(super) fn path(&self) -> String {
        self.product.session_path(&self.sandbox, self.session)
    }

    /// Begins a turn of an agent that has to ask for commands and edits.
    pub(super) async fn careful(&self, turn: &str, text: &str) {
        let body = json!({
            "turnId": turn,
            "parts": [{"type": "text", "text": text}],
            "backend": {"type": "demo", "profile": "careful"},
        });
        self.product.post(&format!("{}/messages", self.path()), body).await.expect(202);
    }

    pub(super) async fn begin(&self, turn: &str, text: &str) {
        self.product.dispatch(&self.sandbox, self.session, turn, text).await.expect(202);
    }

    pub(super) async fn open(&self) -> Vec<Value> {
        let answer = self.product.get(&format!("{}/interactions", self.path())).await.expect(200);
        answer["data"]["interactions"].as_array().unwrap().clone()
    }

    /// The one thing that the agent asks, once it does.
    pub(super) async fn asked(&self) -> Value {
        eventually("the agent asks", async || {
            let mut open = self.open().await;
            assert!(open.len() < 2);
            open.pop()
        })
        .await
    }

    pub(super) async fn answer(&self, body: Value) -> crate::support::Answer {
        self.product.post(&format!("{}/interactions", self.path()), body).await
    }

    pub(super) async fn grant(&self, grant: &str) -> Value {
        let asked = self.asked().await;
        let outcome = if grant == "deny" { "declined" } else { "accepted" };
        let body = json!({"id": asked["id"], "outcome": outcome, "data": {"grant": grant}});
        self.answer(body).await.expect(200);
        asked
    }

    pub(super) async fn record(&self, turn: &str) -> Value {
        self.product.record(&self.sandbox, self.session, turn).await
    }

    pub(super) async fn log(&self) -> Vec<(u64, String, Value)> {
        self.product.log(&self.sandbox, self.session).await
    }

    /// The log says why, and an answer comes too late.
    pub(super) async fn waits_no_longer_for(&self, asked: &Value, reason: &str) {
        let log = self.log().await;
        let cancelled = log.iter().find(|event| event.1 == "interaction.cancel").unwrap();
        assert_eq!(cancelled.2, json!({"id": asked["id"], "reason": reason}));
        let data = json!({"grant": "allow_once"});
        let late = json!({"id": asked["id"], "outcome": "accepted", "data": data});
        self.answer(late).await.refused(404, "NOT_FOUND");
    }

    pub(super) async fn has(&self, file: &str) -> bool {
        self.product.exec(&self.sandbox, &format!("test -e {file}")).await["exitCode"] == 0
    }
}

/// The interactions in a turn's record: title, status and answer.
pub(super) fn interactions(record: &Value) -> Vec<(Value, Value, Value)> {
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
pub(super) fn kinds(log: &[(u64, String, Value)]) -> Vec<&str> {
    let kinds = log.iter().map(|event| event.1.as_str());
    kinds.filter(|kind| *kind != "message.part.updated").collect()
}
