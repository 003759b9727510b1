//! What every response carries.

use std::collections::HashSet;

use crate::support::{Answer, TestApp};

fn nonce(answer: &Answer) -> String {
    let policy = answer.header("content-security-policy");
    let (_, rest) = policy.split_once("'nonce-").unwrap();
    rest.split_once('\'').unwrap().0.to_owned()
}

#[tokio::test]
async fn every_script_of_a_page_carries_the_nonce_of_its_policy() {
    let app = TestApp::start().await;
    let page = app.visitor().visit("/").await;
    let nonce = nonce(&page);
    let scripts: Vec<&str> = page.body.split("<script").skip(1).collect();
    assert!(!scripts.is_empty(), "the page hydrates: {}", page.body);
    for script in scripts {
        let tag = script.split('>').next().unwrap();
        assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "<script{tag}>");
    }
}

#[tokio::test]
async fn a_nonce_is_used_once() {
    let app = TestApp::start().await;
    let mut seen = HashSet::new();
    for _ in 0..10 {
        let nonce = nonce(&app.visitor().visit("/").await);
        assert!(nonce.len() >= 22, "128 bits: {nonce}");
        assert!(seen.insert(nonce));
    }
}

#[tokio::test]
async fn a_page_may_connect_to_itself_and_to_the_gateway_only() {
    let page = TestApp::start().await.visitor().visit("/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("connect-src 'self' ws://127.0.0.1:4095;"), "{policy}");
    for directive in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
    {
        assert!(policy.contains(directive), "{directive} in {policy}");
    }
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
}

#[tokio::test]
async fn a_page_uses_nothing_that_its_policy_refuses() {
    let page = TestApp::start().await.visitor().visit("/").await;
    assert!(!page.body.contains(" style=\""), "style attributes are refused: {}", page.body);
    assert!(!page.body.contains(" onclick=\""), "handlers in attributes are refused");
}

#[tokio::test]
async fn every_answer_is_guarded_and_private() {
    let app = TestApp::start().await;
    let answers = [
        app.visitor().visit("/").await,
        app.get("/nothing/here").await,
        app.call("list_chats", serde_json::json!({})).await,
        app.call("stop_turn", serde_json::json!({})).await,
        app.get("/healthz").await,
    ];
    for answer in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(answer.header("permissions-policy").contains("camera=()"));
        assert!(!answer.header("content-security-policy").is_empty());
        assert_eq!(answer.header("server"), "");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn the_request_id_is_ours_even_when_one_is_sent() {
    let app = TestApp::start().await;
    let request = crate::support::request(http::Method::GET, "/healthz")
        .header("x-request-id", "forged\u{7f}".replace('\u{7f}', "-id"));
    let answer = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.header("x-request-id").len(), 32);
    assert_ne!(answer.header("x-request-id"), "forged-id");
}

#[tokio::test]
async fn tls_is_asked_for_only_where_it_is_there() {
    let plain = TestApp::start().await.get("/healthz").await;
    assert_eq!(plain.header("strict-transport-security"), "");
    let app = TestApp::builder().origin("https://chat.example.com").start().await;
    let secure = app.get("/healthz").await;
    assert!(secure.header("strict-transport-security").starts_with("max-age="));
}
