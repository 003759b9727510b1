//! The orchestrator's webhook.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::Method;
use sandbox_sdk::auth::webhook::sign;
use secrecy::SecretString;
use serde_json::json;

use crate::support::{Answer, SIGNING_SECRET, TestApp, request, turn_id};

const PATH: &str = "/webhooks/orchestrator";

async fn post(app: &TestApp, body: &str, signature: Option<&str>) -> Answer {
    let mut builder = request(Method::POST, PATH).header("content-type", "application/json");
    if let Some(signature) = signature {
        builder = builder.header("x-tangle-signature", signature);
    }
    app.send(builder.body(Body::from(body.to_owned())).unwrap()).await
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn signed(body: &str, at: i64) -> String {
    sign(&SecretString::from(SIGNING_SECRET), at, body.as_bytes())
}

fn turn_ended(turn: &str) -> String {
    let usage = json!({"inputTokens": 1, "outputTokens": 1});
    let data =
        json!({"sessionId": "s", "turnId": turn, "outcome": "completed", "tokenUsage": usage});
    json!({"id": turn_id(), "type": "turn.ended", "createdAt": 0, "data": data}).to_string()
}

#[tokio::test]
async fn an_unsigned_or_wrongly_signed_webhook_is_refused() {
    let app = TestApp::start().await;
    let body = turn_ended(&turn_id());
    let good = signed(&body, now());
    let other = sign(&SecretString::from("x".repeat(40)), now(), body.as_bytes());
    let old = signed(&body, now() - 24 * 3600);
    let (time, mac) = good.split_once(",v1=").unwrap();
    let moved = format!("t={},v1={mac}", now() + 1);
    let cut = format!("{time},v1={}", &mac[..mac.len() - 1]);
    for signature in ["", "t=,v1=", "garbage", "v1=00", &other, &old, &moved, &cut] {
        assert_eq!(post(&app, &body, Some(signature)).await.status, 401, "{signature:?}");
    }
    assert_eq!(post(&app, &body, None).await.status, 401);
    assert_eq!(post(&app, &format!("{body} "), Some(&good)).await.status, 401, "other bytes");
}

#[tokio::test]
async fn two_signatures_are_none() {
    let app = TestApp::start().await;
    let body = turn_ended(&turn_id());
    let builder = request(Method::POST, PATH)
        .header("x-tangle-signature", "garbage")
        .header("x-tangle-signature", signed(&body, now()));
    assert_eq!(app.send(builder.body(Body::from(body)).unwrap()).await.status, 401);
}

#[tokio::test]
async fn a_signed_webhook_gets_past_the_check_for_forged_requests() {
    let app = TestApp::start().await;
    let body = turn_ended(&turn_id());
    let builder = request(Method::POST, PATH)
        .header("origin", "https://orchestrator.test")
        .header("sec-fetch-site", "cross-site")
        .header("x-tangle-signature", signed(&body, now()));
    let answer = app.send(builder.body(Body::from(body)).unwrap()).await;
    assert!(!matches!(answer.status.as_u16(), 401 | 403), "{}", answer.status);
    assert!(answer.status.as_u16() < 500, "{}", answer.status);
}

#[tokio::test]
async fn signed_nonsense_is_the_senders_mistake() {
    let app = TestApp::start().await;
    for body in ["", "{}", "[]", "null", "{\"type\":\"turn.ended\"}", "\u{0}"] {
        let answer = post(&app, body, Some(&signed(body, now()))).await;
        assert_eq!(answer.status, 400, "{body:?}");
    }
}

#[tokio::test]
async fn a_webhook_is_posted_and_small() {
    let app = TestApp::start().await;
    assert_eq!(app.get(PATH).await.status, 405);
    assert_eq!(post(&app, &"x".repeat(3 * 1024 * 1024), Some("t=1,v1=00")).await.status, 413);
}
