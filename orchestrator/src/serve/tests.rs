use std::{net::SocketAddr, time::Duration};

use axum::{body::Body, routing::get};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};

use super::*;

/// Long enough for any machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    addr: SocketAddr,
    ends: Ends,
    connections: TaskTracker,
}

/// Answers `/` with a word and `/endless` without an end.
async fn server(tuning: Tuning) -> Server {
    let endless = || async {
        let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 16 * 1024]));
        Body::from_stream(futures::stream::repeat_with(chunk))
    };
    let router = Router::new().route("/", get(|| async { "word" })).route("/endless", get(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (ends, connections) = (Ends::default(), TaskTracker::new());
    tokio::spawn(serve(listener, router, tuning, ends.clone(), connections.clone()));
    Server { addr, ends, connections }
}

async fn ask(addr: SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn answered(stream: &mut TcpStream) {
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_client_that_takes_nothing_more_of_an_endless_answer_is_let_go() {
    let tuning = Tuning {
        socket_send_buffer: Some(4096),
        slow_reader_limit: Duration::from_millis(100),
        ..Tuning::default()
    };
    let server = server(tuning).await;
    let mut stuck = ask(server.addr, "/endless").await;
    answered(&mut stuck).await;
    server.connections.close();
    timeout(PATIENCE, server.connections.wait()).await.expect("the connection stays");
}

#[tokio::test]
async fn an_answer_without_an_end_does_not_outlive_the_grace_of_a_shutdown() {
    let server = server(Tuning { socket_send_buffer: Some(4096), ..Tuning::default() }).await;
    let mut stuck = ask(server.addr, "/endless").await;
    answered(&mut stuck).await;
    server.ends.closing.cancel();
    server.connections.close();
    assert!(timeout(Duration::from_millis(100), server.connections.wait()).await.is_err());
    server.ends.abandoning.cancel();
    timeout(PATIENCE, server.connections.wait()).await.expect("the connection stays");
}

#[tokio::test]
async fn connections_beyond_the_most_wait_until_one_goes() {
    let server = server(Tuning { max_http: 1, ..Tuning::default() }).await;
    let mut first = ask(server.addr, "/").await;
    answered(&mut first).await;
    let mut second = ask(server.addr, "/").await;
    let early = timeout(Duration::from_millis(200), answered(&mut second)).await;
    assert!(early.is_err(), "the first still has its place");
    drop(first);
    timeout(PATIENCE, answered(&mut second)).await.expect("no answer");
}
