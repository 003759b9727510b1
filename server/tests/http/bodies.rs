//! Bodies that no page of ours sends.

use axum::body::Body;
use futures::stream;
use http::Method;
use leptos::server_fn::axum::server_fn_paths;

use crate::support::{Answer, TestApp, request};

async fn post(app: &TestApp, path: &str, body: impl Into<Body>) -> Answer {
    let request = request(Method::POST, path).header("content-type", "application/json");
    app.send(request.body(body.into()).unwrap()).await
}

/// Functions without arguments take any object.
fn takes_arguments(path: &str) -> bool {
    !matches!(path, "/api/list_chats" | "/api/balance" | "/api/list_options")
}

#[tokio::test]
async fn what_is_not_the_json_asked_for_is_the_callers_mistake() {
    let app = TestApp::start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{\"chat_id\":1,\"turn_id\":[],\"request\":7}",
        b"{\"chat_id\":\"a\",\"chat_id\":\"b\",\"turn_id\":\"a\",\"turn_id\":\"b\"}",
        b"{\"request\":{\"turn_id\":\"x\"}}",
        b"\xff\xfe",
        b"{\"chat_id\":\"\xff\"}",
        b"{\"chat_id\":\"\\ud800\"}",
        b"chat_id=a&turn_id=b",
        deep.as_bytes(),
    ];
    for (path, _) in server_fn_paths().filter(|(path, _)| takes_arguments(path)) {
        for body in bodies {
            let answer = post(&app, path, body.to_vec()).await;
            assert_eq!(
                answer.status,
                400,
                "{path} {:?}",
                String::from_utf8_lossy(&body[..body.len().min(80)])
            );
            assert_eq!(answer.code(), "invalid");
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }
}

#[tokio::test]
async fn an_error_never_quotes_the_request_or_our_code() {
    let app = TestApp::start().await;
    for (path, _) in server_fn_paths() {
        let answer = post(&app, path, "{\"chat_id\": SECRET }").await;
        for word in ["SECRET", "expected", "line 1", "src/", "serde", "panicked"] {
            assert!(!answer.body.contains(word), "{path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let app = TestApp::start().await;
    let large = vec![b' '; 2 * 1024 * 1024];
    for (path, _) in server_fn_paths() {
        assert_eq!(post(&app, path, large.clone()).await.status, 413, "{path}");
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_not_read_for_ever() {
    let app = TestApp::start().await;
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    assert_eq!(post(&app, "/api/rename_chat", Body::from_stream(endless)).await.status, 413);
}

#[tokio::test]
async fn only_plain_json_is_read() {
    let app = TestApp::start().await;
    for (name, value) in [
        ("content-type", "application/cbor"),
        ("content-type", "application/jsonp"),
        ("content-type", "text/json"),
        ("content-encoding", "gzip"),
    ] {
        let mut builder = request(Method::POST, "/api/list_chats");
        if name != "content-type" {
            builder = builder.header("content-type", "application/json");
        }
        let answer = app.send(builder.header(name, value).body(Body::from("{}")).unwrap()).await;
        assert_eq!(answer.status, 415, "{name}: {value}");
    }
    let builder = request(Method::POST, "/api/list_chats");
    let charset = builder.header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(app.send(charset.body(Body::from("{}")).unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_message_of_the_longest_allowed_length_is_taken() {
    let app = TestApp::start().await;
    // The model takes 20 000 tokens of four bytes; in JSON each of these characters takes six.
    let longest = "\u{1}".repeat(79_998);
    let mut guest = app.guest().await;
    guest.start_turn(&format!("x{longest}y")).await;
    // Beyond what the model takes, but not beyond what is read.
    let escaped = format!("\"{}\"", "\\ud83d\\ude00".repeat(100_000));
    let body = crate::support::message(None, "TEXT").to_string().replace("\"TEXT\"", &escaped);
    let answer = post(&app, "/api/start_turn", body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "invalid".into()));
    let answer =
        guest.call("start_turn", crate::support::message(None, &"x".repeat(100_001))).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "invalid".into()));
}

#[tokio::test]
async fn a_function_that_is_gone_asks_for_a_reload() {
    let answer = post(&TestApp::start().await, "/api/start_turn_v0", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "outdated".into()));
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_can_read_that() {
    let app = TestApp::start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn(&"All work and no play. ".repeat(500)).await;
    let chat = started["chat"]["id"].as_str().unwrap();
    let builder = request(Method::POST, "/api/open_chat")
        .header("content-type", "application/json")
        .header("cookie", guest.cookie.clone().unwrap())
        .header("accept-encoding", "gzip");
    let body = serde_json::json!({ "chat_id": chat }).to_string();
    let answer = app.send(builder.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.body.len() < 4_000);
}
