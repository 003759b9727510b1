//! A request to a sandbox that answers as it likes.

use std::{
    fs,
    os::fd::OwnedFd,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode},
    response::IntoResponse,
};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    sync::oneshot,
    time::timeout,
};

use super::*;
use crate::driver::bubblewrap::launch::SOCKET;

/// Nothing waits this long that works.
const FOR_EVER: Duration = Duration::from_secs(60);
/// Whatever waits for an answer gets it sooner.
const BOUNDS: Bounds = Bounds { body: 100, answer: 100, patience: FOR_EVER, setting: None };
/// For what never comes.
const IMPATIENT: Bounds = Bounds { patience: Duration::from_millis(300), ..BOUNDS };

/// A sandbox that reads the head of a request, writes the given bytes and is silent then, until the
/// other side hangs up.
struct Sandbox {
    folder: TempDir,
    hung_up: oneshot::Receiver<()>,
}

impl Sandbox {
    fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (sender, hung_up) = oneshot::channel();
        let bytes = bytes.into();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0);
            }
            // The other side may have read enough.
            stream.write_all(&bytes).await.ok();
            while stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {}
            sender.send(()).ok();
        });
        Self { folder, hung_up }
    }

    fn client(&self) -> SidecarClient {
        SidecarClient::new(OwnedFd::from(fs::File::open(self.folder.path()).unwrap()))
    }

    async fn asked(&self, body: impl Into<Body>) -> Result<Response, ApiError> {
        self.asked_within(BOUNDS, body.into()).await
    }

    async fn asked_within(&self, bounds: Bounds, body: Body) -> Result<Response, ApiError> {
        let request = Request::builder().method(Method::POST).body(body).unwrap();
        let client = self.client();
        let asked = pass(("box", &client), request, "/x", bounds, ());
        timeout(FOR_EVER, asked).await.expect("it waits for a sandbox that never answers")
    }
}

async fn refusal<T: std::fmt::Debug>(answer: Result<T, ApiError>) -> (StatusCode, Value) {
    let refusal = answer.unwrap_err().into_response();
    let status = refusal.status();
    let body = axum::body::to_bytes(refusal.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn text(answer: Response) -> Result<String, axum::Error> {
    let body = timeout(FOR_EVER, axum::body::to_bytes(answer.into_body(), 1 << 20)).await;
    let body = body.expect("it waits for an answer that never ends")?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn of_an_answers_head_only_what_a_client_needs_comes_through() {
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n\
                Access-Control-Allow-Origin: *\r\nContent-Disposition: inline\r\n\
                Cache-Control: public, max-age=9\r\n\
                Content-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello";
    let answer = Sandbox::answering(head).asked(Body::empty()).await.unwrap();
    assert_eq!(answer.status(), 206);
    let mut names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-length",
            "content-range",
            "content-security-policy",
            "content-type",
            "x-content-type-options",
        ]
    );
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(text(answer).await.unwrap(), "hello");

    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                Content-Disposition: attachment; filename=\"a\"\r\nContent-Length: 2\r\n\r\n{}";
    let answer = Sandbox::answering(head).asked(Body::empty()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"a\"");
}

#[tokio::test]
async fn what_a_sandbox_answers_is_bounded_in_size() {
    let declared = "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n";
    let answer = Sandbox::answering(declared).asked(Body::empty()).await;
    assert_eq!(refusal(answer).await.0, 503);
    let set = Bounds { setting: Some("SKEIN_X"), ..BOUNDS };
    let answer = Sandbox::answering(declared).asked_within(set, Body::empty()).await;
    let (status, body) = refusal(answer).await;
    assert_eq!((status.as_u16(), &body["limit"]), (413, &json!(100)));
    assert!(body["message"].as_str().unwrap().contains("SKEIN_X"), "{body}");
    let chunk = format!("32\r\n{}\r\n", "x".repeat(50));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let fitting = format!("{head}{chunk}{chunk}0\r\n\r\n");
    let answer = Sandbox::answering(fitting).asked(Body::empty()).await.unwrap();
    assert_eq!(text(answer).await.unwrap(), "x".repeat(100));
    // Whole, so that nothing but its size is wrong with it.
    let longer = format!("{head}{chunk}{chunk}{chunk}0\r\n\r\n");
    let answer = Sandbox::answering(longer).asked(Body::empty()).await.unwrap();
    text(answer).await.unwrap_err();
    let words = json!({"code": "MADE_UP", "message": "x".repeat(70_000)});
    let body = json!({"error": words}).to_string();
    let refused = format!("HTTP/1.1 400 No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = Sandbox::answering(refused).asked(Body::empty()).await;
    assert_eq!(refusal(answer).await.0, 503);
}

#[tokio::test]
async fn a_sandbox_that_is_silent_is_not_waited_for() {
    let answer = Sandbox::answering("").asked_within(IMPATIENT, Body::empty()).await;
    assert_eq!(refusal(answer).await.0, 503);
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let sandbox = Sandbox::answering(half);
    // Its head may take as long as it likes.
    let theirs = sandbox.client().send(Request::new(Body::empty())).await.unwrap();
    text(answer::of("box", theirs, IMPATIENT, ()).unwrap()).await.unwrap_err();
    let refused = "HTTP/1.1 400 No\r\nContent-Length: 10\r\n\r\nhello";
    let answer = Sandbox::answering(refused).asked_within(IMPATIENT, Body::empty()).await;
    assert_eq!(refusal(answer).await.0, 503);
}

#[tokio::test]
async fn a_sandboxs_refusal_is_one_of_the_apis_and_its_words_are_few() {
    let words = json!({"code": "MADE_UP", "message": "no ".repeat(5000)});
    let body = json!({"error": words}).to_string();
    let refused = format!("HTTP/1.1 418 Tea\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (status, body) = refusal(Sandbox::answering(refused).asked(Body::empty()).await).await;
    assert_eq!((status.as_u16(), &body["code"]), (400, &json!("VALIDATION_ERROR")));
    assert_eq!(body["message"].as_str().unwrap().len(), 500);
}

#[tokio::test]
async fn a_request_is_bounded_whether_it_tells_its_length_or_not() {
    let silent = Sandbox::answering("");
    let (status, body) = refusal(silent.asked(pieces(3)).await).await;
    assert_eq!((status.as_u16(), &body["limit"]), (413, &json!(100)));
    let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(101))]);
    let declared = extract::fitting(&headers, Body::from("x".repeat(101)), 100);
    assert_eq!(refusal(declared).await.0, 413);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(Sandbox::answering(ok).asked(pieces(2)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_still_writes_what_is_too_large_gets_to_read_why() {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let piece = |_| {
        TAKEN.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from("x".repeat(40)))
    };
    let body = Body::from_stream(futures::stream::iter((0..1000).map(piece)));
    let answer = Sandbox::answering("").asked(body).await;
    assert_eq!(refusal(answer).await.0, 413);
    assert_eq!(TAKEN.load(Ordering::SeqCst), 1000, "the connection would break in the middle");
}

#[tokio::test]
async fn a_body_that_trickles_is_not_waited_for() {
    let piece = |()| async {
        sleep_until(Instant::now() + Duration::from_millis(5)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
    };
    let pace = sending::Pace { grace: Duration::from_millis(50), least: 1000 };
    let trickle = Body::from_stream(futures::stream::unfold((), piece));
    let sending = Arc::new(Sending::new());
    let body = sending.body_at(pace, trickle, 1 << 20);
    let read = timeout(FOR_EVER, axum::body::to_bytes(body, 1 << 20));
    read.await.expect("it is waited for").unwrap_err();
    let refused = sending.refused().unwrap();
    assert_eq!(refusal(Err::<(), _>(refused)).await.0, 408);
}

#[tokio::test]
async fn time_in_which_the_sandbox_does_not_read_is_not_the_bodys() {
    let pace = sending::Pace { grace: Duration::from_millis(50), least: 1000 };
    let sending = Arc::new(Sending::new());
    let mut body = sending.body_at(pace, pieces(2), 100).into_data_stream();
    for _ in 0..2 {
        assert_eq!(body.next().await.unwrap().unwrap().len(), 40);
        sleep_until(Instant::now() + pace.grace * 2).await;
    }
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn who_gives_up_hangs_up_on_the_sandbox_and_lets_go_of_it() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let sandbox = Sandbox::answering(half);
    let (kept, mut let_go) = oneshot::channel::<()>();
    let request = Request::builder().method(Method::POST).body(Body::empty()).unwrap();
    let answer = pass(("box", &sandbox.client()), request, "/x", BOUNDS, kept).await.unwrap();
    assert_eq!(let_go.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    drop(answer);
    let_go.await.unwrap_err();
    sandbox.hung_up.await.unwrap();
}

/// A body of so many pieces of 40 bytes, of a length that nobody knows before.
fn pieces(count: usize) -> Body {
    let piece = |_| Ok::<_, std::io::Error>(Bytes::from("x".repeat(40)));
    Body::from_stream(futures::stream::iter((0..count).map(piece)))
}
