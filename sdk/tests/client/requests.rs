//! What every request carries, where it goes, and what no client is made with.

use sandbox_sdk::client::{Client, ClientConfig, Error};
use serde_json::json;

use crate::service::{KEY, Service};

#[tokio::test]
async fn every_call_carries_the_key_and_the_user() {
    let service = Service::default().then(200, json!({"success": true}));
    let client = service.clone().start().await.for_user("user-1");
    client.health().await.unwrap();
    let seen = service.seen().remove(0);
    assert_eq!(seen.line, "GET /health");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(seen.headers["x-user-id"], "user-1");
}

#[tokio::test]
async fn a_call_carries_the_trace_that_it_belongs_to() {
    let done = json!({"success": true});
    let service = Service::default().then(200, done.clone()).then(200, done);
    let client = service.clone().start().await;
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client.with_trace(text.parse().unwrap()).health().await.unwrap();
    client.health().await.unwrap();
    let seen = service.seen();
    assert_eq!(seen[0].headers["traceparent"], text);
    assert!(!seen[1].headers.contains_key("traceparent"));
}

#[tokio::test]
async fn an_id_cannot_lead_elsewhere() {
    let service = Service::default();
    let client = service.clone().start().await;
    for id in ["", ".", "..", "../secrets", "a/b", "a?b", "a#b", "a%2fb", "ä", &"x".repeat(161)] {
        let error = client.sandboxes().get(id).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{id}");
        assert!(client.sandbox(id).read_text("a").await.is_err(), "{id}");
        assert!(client.sandbox("sandbox-1").turn("s", id).await.is_err(), "{id}");
    }
    assert!(service.seen().is_empty());
}

#[test]
fn a_client_needs_a_key_and_a_plain_url() {
    for (url, key) in [
        ("http://127.0.0.1:1", ""),
        ("", KEY),
        ("127.0.0.1:1", KEY),
        ("ftp://127.0.0.1", KEY),
        ("http://user:pass@127.0.0.1", KEY),
        ("http://127.0.0.1/?key=1", KEY),
    ] {
        let refused = Client::new(ClientConfig::new(url, key));
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{url}");
    }
}

#[test]
fn the_key_shows_nowhere() {
    let config = ClientConfig::new("http://127.0.0.1:1", KEY);
    let client = Client::new(config.clone()).unwrap();
    let shown = format!("{config:?} {client:?} {:?} {:?}", client.sandbox("s"), client.sandboxes());
    assert!(!shown.contains(KEY), "{shown}");
}
