//! What is tried again, how often, and what never is.

use std::time::Duration;

use axum::http::StatusCode;
use sandbox_sdk::types::{CreateSandbox, Exec};
use serde_json::{Value, json};

use crate::service::{Service, dispatch, sandbox};

#[tokio::test]
async fn what_is_safe_is_tried_again_until_it_succeeds() {
    for transient in [408, 425, 429, 500, 502, 503, 504] {
        let service = Service::default().then(transient, json!({})).then(200, sandbox("running"));
        let client = service.clone().start().await;
        assert!(client.sandboxes().get("sandbox-1").await.unwrap().is_some());
        assert_eq!(service.seen().len(), 2, "{transient}");
    }
}

#[tokio::test]
async fn a_service_that_wants_to_be_left_alone_for_ever_gets_no_second_call() {
    let pause = [("retry-after", "18446744073709551615")];
    let service = Service::default().then_response((StatusCode::SERVICE_UNAVAILABLE, pause, "{}"));
    let client = service.clone().start().await;
    let error = client.sandboxes().get("sandbox-1").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(24 * 3600)));
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn a_dispatch_is_tried_again_with_the_same_turn() {
    let receipt = json!({
        "sessionId": "s", "turnId": "turn-1", "alreadyExisted": true, "state": "running"
    });
    let service = Service::default().then(503, json!({})).then(200, receipt);
    let client = service.clone().start().await;
    let receipt = client.sandbox("sandbox-1").dispatch("s", &dispatch()).await.unwrap();
    assert!(receipt.already_existed);
    let turns: Vec<Value> = service.seen().iter().map(|seen| seen.body["turnId"].clone()).collect();
    assert_eq!(turns, ["turn-1", "turn-1"]);
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_never_tried_again() {
    let service = Service::default();
    let mut service = service;
    for _ in 0..6 {
        service = service.then(503, json!({}));
    }
    let client = service.clone().start().await;
    let sandbox = client.sandbox("sandbox-1");
    let exec = Exec { command: "rm x".into(), ..Exec::default() };
    assert!(sandbox.exec(&exec).await.unwrap_err().is_retryable());
    assert!(sandbox.write_text("a", "b").await.is_err());
    assert!(sandbox.abort("s", None).await.is_err());
    assert!(client.sandboxes().create(&CreateSandbox::default()).await.is_err());
    assert!(client.sandboxes().stop("sandbox-1").await.is_err());
    assert_eq!(service.seen().len(), 5);
}

#[tokio::test]
async fn a_sandbox_with_an_idempotency_key_is_made_again_under_the_same_key() {
    let service = Service::default().then(502, json!({})).then(201, sandbox("pending"));
    let client = service.clone().start().await;
    let create =
        CreateSandbox { idempotency_key: Some("chat-1".into()), ..CreateSandbox::default() };
    client.sandboxes().create(&create).await.unwrap();
    let keys: Vec<Value> =
        service.seen().iter().map(|seen| seen.body["idempotencyKey"].clone()).collect();
    assert_eq!(keys, ["chat-1", "chat-1"]);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for status in [400, 401, 402, 403, 409, 413, 422, 501] {
        let service = Service::default().then(status, json!({}));
        let client = service.clone().start().await;
        let error = client.sandboxes().get("sandbox-1").await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(service.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_service_that_wants_a_longer_rest_than_the_call_has_is_left_alone() {
    let service = Service::default().then_response((
        StatusCode::SERVICE_UNAVAILABLE,
        [("retry-after", "3600")],
        "later",
    ));
    let client = service.clone().start().await;
    let error = client.sandboxes().get("sandbox-1").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn giving_up_comes_after_four_attempts() {
    let mut service = Service::default();
    for _ in 0..9 {
        service = service.then(503, json!({}));
    }
    let client = service.clone().start().await;
    assert_eq!(client.health().await.unwrap_err().status(), Some(503));
    assert_eq!(service.seen().len(), 4);
}
