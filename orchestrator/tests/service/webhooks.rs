//! The product is told when a turn has ended.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use sandbox_sdk::auth::webhook;
use serde_json::{Value, json};

use crate::support::{Product, eventually};

type Calls = Arc<Mutex<Vec<(String, Bytes)>>>;

/// Refuses the first call, takes the next.
async fn take(State(calls): State<Calls>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["x-tangle-signature"].to_str().unwrap().to_owned();
    let mut calls = calls.lock().unwrap();
    calls.push((signature, body));
    if calls.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_webhook_comes_at_the_end_of_a_turn_and_again_until_it_is_taken() {
    let calls = Calls::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = Router::new().route("/hook", post(take)).with_state(calls.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let product = Product::start_with(|config| config.webhook_url = Some(url)).await;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "run: echo hi").await.expect(202);
    let record = product.record(&id, "s1", "t1").await;
    let calls = eventually("the webhook comes twice", async || {
        let calls = calls.lock().unwrap().clone();
        (calls.len() == 2).then_some(calls)
    })
    .await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    for (signature, body) in &calls {
        webhook::verify(&product.secrets.signing_secret, signature, body, now).unwrap();
        let other = webhook::verify(&"x".repeat(32).into(), signature, body, now);
        assert!(other.is_err());
    }
    assert_eq!(calls[0].1, calls[1].1, "the same event, by the same id");
    let body: Value = serde_json::from_slice(&calls[0].1).unwrap();
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
    let calls = Calls::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let refuse = async |State(calls): State<Calls>, body: Bytes| {
        calls.lock().unwrap().push((String::new(), body));
        StatusCode::UNAUTHORIZED
    };
    let app = Router::new().route("/hook", post(refuse)).with_state(calls.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let product = Product::start_with(|config| config.webhook_url = Some(url)).await;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "run: echo hi").await.expect(202);
    eventually("the webhook comes", async || (!calls.lock().unwrap().is_empty()).then_some(()))
        .await;
    // The next try would have come after half a second.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    product.stop().await;
}
