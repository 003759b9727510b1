//! Files of the built site.

use axum::body::Body;
use http::Method;

use crate::support::{Answer, TestApp, request};

const HASHED: &str = "pkg/skein.0123456789abcdef.wasm";

async fn app() -> TestApp {
    TestApp::builder()
        .asset(HASHED, b"plain wasm")
        .asset("pkg/skein.0123456789abcdef.wasm.br", b"brotli wasm")
        .asset("pkg/skein.0123456789abcdef.wasm.gz", b"gzip wasm")
        .asset("pkg/skein.css", b"body{}")
        .asset("fonts/inter.woff2", b"font")
        .start()
        .await
}

async fn fetch(app: &TestApp, path: &str, encodings: &str) -> Answer {
    let request = request(Method::GET, path).header("accept-encoding", encodings);
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_file_with_a_hash_in_its_name_is_kept_for_ever() {
    let app = app().await;
    let hashed = app.get(&format!("/{HASHED}")).await;
    assert_eq!(hashed.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(hashed.header("content-type"), "application/wasm");
    for path in ["/pkg/skein.css", "/fonts/inter.woff2"] {
        assert_eq!(app.get(path).await.header("cache-control"), "no-cache", "{path}");
    }
}

#[tokio::test]
async fn the_compressed_copy_is_sent_to_whoever_can_read_it() {
    let app = app().await;
    let path = format!("/{HASHED}");
    for (encodings, body, encoding) in [
        ("gzip, deflate, br, zstd", "brotli wasm", "br"),
        ("gzip", "gzip wasm", "gzip"),
        ("identity", "plain wasm", ""),
    ] {
        let answer = fetch(&app, &path, encodings).await;
        assert_eq!((answer.body.as_str(), answer.header("content-encoding")), (body, encoding));
        assert_eq!(answer.header("content-type"), "application/wasm");
        assert!(
            answer.header("vary").to_ascii_lowercase().contains("accept-encoding"),
            "{encodings}"
        );
    }
}

#[tokio::test]
async fn nothing_outside_of_the_site_is_served() {
    let app = app().await;
    for path in [
        "/pkg/../skein.sqlite",
        "/pkg/%2e%2e/skein.sqlite",
        "/pkg/..%2fskein.sqlite",
        "/%2e%2e/skein.sqlite",
        "/..%2fskein.sqlite",
        "/..%5cskein.sqlite",
        "/pkg/%252e%252e/skein.sqlite",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/pkg/skein.css%00.js",
        "/pkg",
        "/pkg/",
    ] {
        let answer = app.get(path).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.body.contains("SQLite"), "{path}");
    }
}

#[tokio::test]
async fn strange_ranges_are_answered_in_bounds() {
    let app = app().await;
    for range in
        ["bytes=0-", "bytes=-1", "bytes=99-", "bytes=5-2", "bytes=0-18446744073709551616", "x"]
    {
        let request = request(Method::GET, "/pkg/skein.css").header("range", range);
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert!(matches!(answer.status.as_u16(), 200 | 206 | 416), "{range}: {}", answer.status);
        assert!(answer.body.len() <= 100, "{range}: {}", answer.body);
    }
    let many = format!("bytes={}", vec!["0-"; 1000].join(","));
    let request = request(Method::GET, "/pkg/skein.css").header("range", many);
    let answer = app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 416, "{answer:?}");
}

#[tokio::test]
async fn a_file_that_has_not_changed_is_not_sent_again() {
    let app = app().await;
    let first = app.get("/pkg/skein.css").await;
    let request = request(Method::GET, "/pkg/skein.css")
        .header("if-modified-since", first.header("last-modified"));
    let again = app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    assert_eq!(again.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn pages_ask_for_the_files_that_the_build_made() {
    let plain = TestApp::builder().asset("pkg/skein.js", b"").start().await;
    let page = plain.visitor().visit("/").await.body;
    for name in ["/pkg/skein.js", "/pkg/skein.wasm", "/pkg/skein.css"] {
        assert!(page.contains(&format!("\"{name}\"")), "{name} in {page}");
    }
    let hashes = b"js: 0123456789abcdef\nwasm: 1123456789abcdef\ncss: 2123456789abcdef\n";
    let hashed = TestApp::builder().asset("hash.txt", hashes).start().await;
    let page = hashed.visitor().visit("/").await.body;
    for name in
        ["skein.0123456789abcdef.js", "skein.1123456789abcdef.wasm", "skein.2123456789abcdef.css"]
    {
        assert!(page.contains(&format!("\"/pkg/{name}\"")), "{name} in {page}");
    }
}

#[tokio::test]
async fn a_page_that_comes_with_a_chat_loads_what_shows_it_and_no_other_does() {
    const PART: &str = "href=\"/pkg/split_thread.3123456789abcdef.wasm\"";
    let hashes = b"other: 4123456789abcdef\nsplit_thread: 3123456789abcdef\njs: 0123456789abcdef\n";
    let app = TestApp::builder().asset("hash.txt", hashes).start().await;
    let mut guest = app.visitor();
    let started = guest.start_turn("Hello").await;
    let chat = format!("/chat/{}", started["chat"]["id"].as_str().unwrap());
    let page = guest.visit(&chat).await.body;
    assert!(page.contains(PART) && page.contains("as=\"fetch\""), "{page}");
    for path in ["/", "/chat/0190"] {
        let page = guest.visit(path).await.body;
        assert!(!page.contains("split_thread"), "{path}: {page}");
    }
    let plain = TestApp::builder().asset("pkg/skein.js", b"").start().await;
    let mut guest = plain.visitor();
    let started = guest.start_turn("Hello").await;
    let chat = format!("/chat/{}", started["chat"]["id"].as_str().unwrap());
    assert!(!guest.visit(&chat).await.body.contains("split_thread"), "it is in the module");
}
