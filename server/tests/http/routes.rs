//! All routes at once.

use axum::body::Body;
use http::Method;
use leptos::server_fn::axum::server_fn_paths;

use crate::support::{TestApp, request};

#[tokio::test]
async fn no_route_streams_an_agents_output() {
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn("Hello").await;
    let page = format!("/chat/{}", started["chat"]["id"].as_str().unwrap());
    let functions = server_fn_paths().map(|(path, _)| (Method::POST, path.to_owned()));
    let others = ["/", &page, "/healthz", "/readyz", "/session", "/events", "/stream", "/nothing"]
        .map(|path| (Method::GET, path.to_owned()));
    for (method, path) in functions.chain(others) {
        let upgrade = request(method.clone(), &path)
            .header("cookie", guest.cookie.clone().unwrap())
            .header("content-type", "application/json")
            .header("accept", "text/event-stream, text/html")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        // The body is read to its end: a stream would not have one.
        let answer = app.send(upgrade.body(Body::from("{}")).unwrap()).await;
        assert_ne!(answer.status, 101, "{method} {path}");
        let kind = answer.header("content-type");
        let known = ["application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"];
        assert!(known.contains(&kind), "{method} {path}: {kind}");
    }
}

#[tokio::test]
async fn every_server_function_is_a_post_below_api() {
    let all: Vec<_> = server_fn_paths().collect();
    assert_eq!(all.len(), 13);
    for (path, method) in all {
        assert_eq!(method, Method::POST, "{path}");
        let name = path.strip_prefix("/api/").unwrap();
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "no hash: {path}"
        );
    }
}
