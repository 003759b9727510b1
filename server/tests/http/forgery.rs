//! Requests that another site makes a browser send.

use axum::body::Body;
use http::{Method, Request};

use crate::support::{Answer, Person, TestApp, message, request};

/// A message as another site would send it on behalf of the guest.
async fn forged(app: &TestApp, guest: &Person<'_>, headers: &[(&str, &str)]) -> Answer {
    let mut builder = request(Method::POST, "/api/start_turn");
    builder = builder.header("cookie", guest.cookie.as_deref().unwrap());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    app.send(builder.body(Body::from(message(None, "FORGED").to_string())).unwrap()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_request_from_another_site_is_refused_without_effect() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let origins = [
        [JSON, ("origin", "https://evil.test")],
        [JSON, ("origin", "null")],
        [JSON, ("origin", "http://127.0.0.1:3001")],
        [JSON, ("origin", "http://127.0.0.1:3000.evil.test")],
        [JSON, ("origin", "file://")],
        [JSON, ("sec-fetch-site", "cross-site")],
        [JSON, ("sec-fetch-site", "same-site")],
        [("content-type", "text/plain"), ("sec-fetch-site", "cross-site")],
        [("content-type", "application/x-www-form-urlencoded"), ("origin", "https://evil.test")],
    ];
    for headers in origins {
        let answer = forged(&app, &guest, &headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert!(!app.database_bytes().windows(6).any(|bytes| bytes == b"FORGED"));
}

#[tokio::test]
async fn our_own_page_and_programs_without_a_browser_pass() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    for headers in [
        vec![JSON, ("origin", "http://127.0.0.1:3000")],
        vec![JSON, ("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-origin")],
        vec![JSON],
    ] {
        assert_eq!(forged(&app, &guest, &headers).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_plain_form_is_never_taken_even_from_our_own_page() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""] {
        let headers = [("content-type", kind), ("origin", "http://127.0.0.1:3000")];
        assert_eq!(forged(&app, &guest, &headers).await.status, 415, "{kind:?}");
    }
}

#[tokio::test]
async fn no_error_ever_redirects_to_where_the_request_says() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let headers = [
        JSON,
        ("origin", "http://127.0.0.1:3000"),
        ("accept", "text/html"),
        ("referer", "https://evil.test/"),
    ];
    let answer = forged(&app, &guest, &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("location"), "");
    let broken = Request::builder().method(Method::POST).uri("/api/start_turn");
    let broken =
        headers.iter().fold(broken, |request, (name, value)| request.header(*name, *value));
    let broken = broken.header("host", crate::support::HOST).body(Body::from("{}")).unwrap();
    let answer = app.send(broken).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""));
}

#[tokio::test]
async fn what_changes_something_is_not_done_by_other_methods() {
    let app = TestApp::start().await;
    for (path, _) in leptos::server_fn::axum::server_fn_paths() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
            let builder = request(method.clone(), path).header("origin", "http://127.0.0.1:3000");
            let answer = app.send(builder.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn another_site_is_not_told_that_it_may_ask() {
    let app = TestApp::start().await;
    let preflight = request(Method::OPTIONS, "/api/start_turn")
        .header("origin", "https://evil.test")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = app.send(preflight.body(Body::empty()).unwrap()).await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-allow")));
}
