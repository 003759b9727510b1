//! The server on a real socket.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use server::serve::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{HOST, TestApp};

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, pending(), Duration::ZERO));
    address
}

/// Sends bytes and reads until the other side closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut answer));
    read.await.expect("the connection is closed").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_over_a_socket_is_answered() {
    let address = listen(TestApp::start().await.router).await;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn ambiguous_or_broken_requests_are_refused_and_the_connection_closed() {
    let address = listen(TestApp::start().await.router).await;
    for head in [
        "POST /api/list_chats HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6",
        "POST /api/list_chats HTTP/1.1\r\nHost: h\r\nContent-Length: -1",
        "POST /api/list_chats HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity",
        "GET / HTTP/1.1\r\nHost: h\r\nBad Header: x",
        "GET / HTTP/1.1\r\nHost: h\r\nFolded: a\r\n b",
        "GET /\u{1} HTTP/1.1\r\nHost: h",
        "nonsense",
    ] {
        let answer = exchange(address, format!("{head}\r\n\r\nhello").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing smuggled: {answer}");
    }
    let large = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let answer = exchange(address, large.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
}

#[tokio::test]
async fn stopping_lets_a_request_in_progress_end() {
    let (started, entered) = oneshot::channel::<()>();
    let started = std::sync::Arc::new(std::sync::Mutex::new(Some(started)));
    let slow = Router::new().route(
        "/",
        get(move || async move {
            started.lock().unwrap().take().unwrap().send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            "done"
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopping = async move {
        stopped.await.ok();
    };
    let server = tokio::spawn(serve(listener, slow, stopping, Duration::from_secs(60)));
    let client =
        tokio::spawn(async move { exchange(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await });
    entered.await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap();
    let answer = client.await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let stuck = Router::new().route("/", get(pending::<&'static str>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopping = async move {
        stopped.await.ok();
    };
    let server = tokio::spawn(serve(listener, stuck, stopping, Duration::from_millis(50)));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(60), server).await.unwrap().unwrap();
}
