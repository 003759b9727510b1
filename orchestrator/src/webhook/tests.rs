//! The outbox, on a real database.

use axum::{Router, http::StatusCode, routing::post};

use super::*;
use crate::{
    clock::TestClock,
    log::{
        Appended, TurnChange,
        tests::{Bench, event},
    },
    store::{EndedTurn, NewTurn, token_usage},
};

const URL: &str = "http://127.0.0.1:1/hook";

fn webhooks(bench: &Bench, url: Option<&str>) -> Webhooks {
    Webhooks::new(url, &"x".repeat(32).into(), bench.store.clone()).unwrap()
}

fn ended(turn: &str) -> TurnEnded {
    TurnEnded {
        sandbox_id: "box".to_owned(),
        session_id: "s".to_owned(),
        turn_id: turn.to_owned(),
        outcome: TurnState::Completed,
        usage: token_usage(3, 4),
    }
}

#[tokio::test]
async fn an_event_is_written_with_the_end_of_its_turn_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let webhooks = webhooks(&bench, Some(URL));
    let log = bench.session("s", "u").await;
    let change =
        async |change| bench.logs.append(&log, vec![event(0, 1)], Some(change)).await.unwrap();
    let begin = |turn: &str| {
        TurnChange::Begin(NewTurn {
            id: turn.to_owned(),
            model: "demo".to_owned(),
            prompt: "hello".to_owned(),
            input_tokens: 3,
            usage: None,
        })
    };
    let end = |turn: &str| {
        TurnChange::End(EndedTurn {
            id: turn.to_owned(),
            state: TurnState::Completed,
            final_text: "yes".to_owned(),
            parts: Vec::new(),
            used: token_usage(3, 4).into(),
            error: None,
            webhook: webhooks.event(ended(turn)).unwrap(),
        })
    };
    let waiting = async || bench.store.count_webhooks().await.unwrap();
    change(begin("t1")).await;
    assert_eq!(waiting().await, 0);
    assert!(matches!(change(end("t1")).await, Appended::Written { .. }));
    assert_eq!(waiting().await, 1);
    assert!(matches!(change(end("t1")).await, Appended::AlreadyEnded));
    assert_eq!(waiting().await, 1);
    // The log has not heard of it yet.
    change(begin("t2")).await;
    bench.store.delete_sandbox("box").await.unwrap();
    assert!(matches!(change(end("t2")).await, Appended::AlreadyEnded));
    assert_eq!(waiting().await, 2, "what a turn used is to be paid, whatever became of it");
}

#[tokio::test]
async fn what_the_last_run_left_is_due_at_once_or_dropped_when_nobody_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let wanted = webhooks(&bench, Some(URL));
    let event = wanted.event(ended("t1")).unwrap().unwrap();
    wanted.keep(&event).await.unwrap();
    let key = bench.store.due_webhooks(now_ms(), 1).await.unwrap()[0].key;
    bench.store.delay_webhook(key, i64::MAX).await.unwrap();
    wanted.recall().await.unwrap();
    let due = bench.store.due_webhooks(now_ms(), 1).await.unwrap();
    assert_eq!((due.len(), due[0].tries()), (1, 0));
    let unwanted = webhooks(&bench, None);
    assert!(unwanted.event(ended("t2")).unwrap().is_none());
    unwanted.recall().await.unwrap();
    assert_eq!(bench.store.count_webhooks().await.unwrap(), 0);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it_and_the_event_stays() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let busy = async || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "100")]);
    let app = Router::new().route("/hook", post(busy));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let webhooks = webhooks(&bench, Some(&url));
    let event = webhooks.event(ended("t1")).unwrap().unwrap();
    webhooks.keep(&event).await.unwrap();
    webhooks.begin();
    let due = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let later = now_ms() + 50_000;
            if let Some(due) = bench.store.next_webhook(later).await.unwrap() {
                return due;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(due.await.unwrap() <= now_ms() + 100_000);
    webhooks.shutdown().await;
    assert_eq!(bench.store.count_webhooks().await.unwrap(), 1);
    serving.abort();
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nobody_wait() {
    let clock = TestClock;
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = Router::new().route("/hook", post(async || StatusCode::OK));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let webhooks = webhooks(&bench, Some(&url));
    let event = webhooks.event(ended("t1")).unwrap().unwrap();
    webhooks.keep(&event).await.unwrap();
    clock.set_by(-3_600_000);
    let due = bench.store.due_webhooks(now_ms(), 1).await.unwrap();
    assert!(due.is_empty(), "by this clock it is due in an hour");
    webhooks.begin();
    let taken = tokio::time::timeout(Duration::from_secs(60), async {
        while bench.store.count_webhooks().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    taken.await.expect("it was not told");
    webhooks.shutdown().await;
    serving.abort();
}
