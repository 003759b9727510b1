//! The product is told when a turn has ended.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use sandbox_sdk::auth::webhook;
use serde_json::{Value, json};

use crate::support::{Process, Product, eventually, sql};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1/hook";

/// The product's route, and all that came to it.
#[derive(Clone)]
struct Receiver {
    url: String,
    /// How to answer to the event of a turn.
    answers: Arc<dyn Fn(&str) -> StatusCode + Send + Sync>,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[derive(Clone)]
struct Call {
    signature: String,
    raw: Bytes,
    body: Value,
    status: StatusCode,
}

impl Call {
    fn turn(&self) -> &str {
        self.body["data"]["turnId"].as_str().unwrap()
    }
}

impl Receiver {
    async fn start(answers: impl Fn(&str) -> StatusCode + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, answers: Arc::new(answers), calls: Arc::default() };
        let app = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    /// One that has no time for a turn's event as long as the flag is set.
    async fn busy_with(turn: &'static str) -> (Self, Arc<AtomicBool>) {
        let busy = Arc::new(AtomicBool::new(true));
        let flag = busy.clone();
        let receiver = Self::start(move |told| {
            let refuse = told == turn && flag.load(Ordering::SeqCst);
            if refuse { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
        });
        (receiver.await, busy)
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn taken(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.status.is_success()).collect()
    }

    /// Turns whose events were taken, in that order.
    fn turns(&self) -> Vec<String> {
        self.taken().iter().map(|call| call.turn().to_owned()).collect()
    }

    /// Waits until so many events were taken.
    async fn takes(&self, count: usize) {
        eventually(&format!("{count} webhooks are taken"), async || {
            (self.turns().len() >= count).then_some(())
        })
        .await;
    }

    async fn product(&self) -> Product {
        let url = self.url.clone();
        Product::start_with(|config| config.webhook_url = Some(url)).await
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, raw: Bytes) -> StatusCode {
    let signature = headers["x-tangle-signature"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&raw).unwrap();
    let status = (receiver.answers)(body["data"]["turnId"].as_str().unwrap());
    receiver.calls.lock().unwrap().push(Call { signature, raw, body, status });
    status
}

/// Runs a turn to its end, and gives its record.
async fn run(product: &Product, sandbox: &str, session: &str, turn: &str) -> Value {
    product.dispatch(sandbox, session, turn, "run: echo hi").await.expect(202);
    product.record(sandbox, session, turn).await
}

/// Ids of the events that wait.
async fn outbox(data: &Path) -> Vec<String> {
    sql(data, "SELECT id FROM webhooks ORDER BY key").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_webhook_comes_at_the_end_of_a_turn_and_again_until_it_is_taken() {
    let first = AtomicBool::new(true);
    let receiver = Receiver::start(move |_| {
        let refuse = first.swap(false, Ordering::SeqCst);
        if refuse { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    })
    .await;
    let product = receiver.product().await;
    let id = product.sandbox().await;
    let record = run(&product, &id, "s1", "t1").await;
    receiver.takes(1).await;
    let calls = receiver.calls();
    assert_eq!(calls.len(), 2);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    for call in &calls {
        let secret = &product.secrets.signing_secret;
        webhook::verify(secret, &call.signature, &call.raw, now).unwrap();
        let other = webhook::verify(&"x".repeat(32).into(), &call.signature, &call.raw, now);
        assert!(other.is_err());
    }
    assert_eq!(calls[0].raw, calls[1].raw, "the same event, by the same id");
    let body = &calls[0].body;
    assert_eq!(body["type"], "turn.ended");
    let expected = json!({
        "sandboxId": id, "sessionId": "s1", "turnId": "t1", "outcome": "completed",
        "tokenUsage": record["tokenUsage"],
    });
    assert_eq!(body["data"], expected);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_refused_for_good_is_not_sent_again() {
    let receiver = Receiver::start(|_| StatusCode::BAD_REQUEST).await;
    let product = receiver.product().await;
    let id = product.sandbox().await;
    run(&product, &id, "s1", "t1").await;
    run(&product, &id, "s1", "t2").await;
    // The next one of the session comes only once nobody will send the first again.
    eventually("both are refused", async || {
        let figures = product.get("/metrics").await.expect(200);
        let refused = r#"skein_webhook_deliveries_total{outcome="refused"} 2"#;
        figures.as_str().unwrap().contains(refused).then_some(())
    })
    .await;
    let calls = receiver.calls();
    assert_eq!(calls.iter().map(Call::turn).collect::<Vec<_>>(), ["t1", "t2"]);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_session_come_in_order_and_do_not_hold_up_those_of_others() {
    let (receiver, busy) = Receiver::busy_with("a1").await;
    let product = receiver.product().await;
    let id = product.sandbox().await;
    run(&product, &id, "a", "a1").await;
    run(&product, &id, "a", "a2").await;
    run(&product, &id, "b", "b1").await;
    receiver.takes(1).await;
    eventually("the first is refused several times", async || {
        let refused = receiver.calls().iter().filter(|call| call.turn() == "a1").count();
        (refused >= 3).then_some(())
    })
    .await;
    assert_eq!(receiver.turns(), ["b1"]);
    busy.store(false, Ordering::SeqCst);
    receiver.takes(3).await;
    assert_eq!(receiver.turns(), ["b1", "a1", "a2"]);
    let calls = receiver.calls();
    let first = calls.iter().filter(|call| call.turn() == "a1");
    let ids: std::collections::HashSet<_> = first.map(|call| call.body["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "every try is of the same event");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_could_not_deliver_comes_after_the_next_start_and_once() {
    let data = tempfile::tempdir().unwrap();
    let nobody = [("SKEIN_WEBHOOK_URL", NOBODY)];
    let first = Process::start_with(data.path(), 0, &nobody).await;
    let id = first.product.sandbox().await;
    let record = run(&first.product, &id, "s1", "t1").await;
    run(&first.product, &id, "s1", "t2").await;
    first.product.dispatch(&id, "s2", "t3", "run: sleep 100").await.expect(202);
    first.kill();
    let waiting = outbox(data.path()).await;
    assert_eq!(waiting.len(), 2, "with the end of a turn stands what is to be told of it");

    let receiver = Receiver::start(|_| StatusCode::NO_CONTENT).await;
    let env = [("SKEIN_WEBHOOK_URL", receiver.url.as_str())];
    let second = Process::start_with(data.path(), 0, &env).await;
    receiver.takes(3).await;
    eventually("the outbox is empty", async || outbox(data.path()).await.is_empty().then_some(()))
        .await;
    second.kill();

    let third = Process::start_with(data.path(), 0, &env).await;
    run(&third.product, &id, "s1", "t4").await;
    receiver.takes(4).await;
    let taken = receiver.taken();
    let of = |session: &str| -> Vec<&Call> {
        taken.iter().filter(|call| call.body["data"]["sessionId"] == session).collect()
    };
    let turns: Vec<_> = of("s1").iter().map(|call| call.turn()).collect();
    assert_eq!(turns, ["t1", "t2", "t4"]);
    let ids: Vec<_> = of("s1").iter().map(|call| call.body["id"].as_str().unwrap()).collect();
    assert_eq!(ids[..2], waiting, "the events that were written at first");
    assert_eq!(of("s1")[0].body["data"]["tokenUsage"], record["tokenUsage"]);
    let cut_off = of("s2");
    assert_eq!((cut_off.len(), cut_off[0].turn()), (1, "t3"));
    assert_eq!(cut_off[0].body["data"]["outcome"], "interrupted");
    assert!(third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_outlives_its_sandbox() {
    let (receiver, busy) = Receiver::busy_with("t1").await;
    let product = receiver.product().await;
    let id = product.sandbox().await;
    run(&product, &id, "s1", "t1").await;
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert!(receiver.taken().is_empty());
    busy.store(false, Ordering::SeqCst);
    receiver.takes(1).await;
    assert_eq!(receiver.turns(), ["t1"]);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_a_shutdown_stays_until_a_start_at_which_nobody_wants_it() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let nobody = [("SKEIN_WEBHOOK_URL", NOBODY)];
    let first = Process::start_logging_with(data.path(), &log, &nobody).await;
    let id = first.product.sandbox().await;
    run(&first.product, &id, "s1", "t1").await;
    run(&first.product, &id, "s2", "t2").await;
    assert!(first.terminate().await.success());
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("webhooks will be sent at the next start").count(), 1, "{said}");
    assert_eq!(outbox(data.path()).await.len(), 2);

    let second = Process::start_logging_with(data.path(), &log, &[]).await;
    assert!(outbox(data.path()).await.is_empty());
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("no webhook URL is configured"), "{said}");
    run(&second.product, &id, "s1", "t3").await;
    assert!(outbox(data.path()).await.is_empty(), "nothing is kept for nobody");
    assert!(second.terminate().await.success());
}
