//! A client and a sandbox that say what they like, with the relay between them.

use std::{
    future::pending,
    sync::{Mutex, PoisonError},
};

use axum::routing::get;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message as Said, protocol::Role},
};

use super::*;

/// Nothing waits this long that works.
const FOR_EVER: Duration = Duration::from_secs(60);

type Client = WebSocketStream<TcpStream>;

async fn connected(until: Option<Instant>, draining: &CancellationToken) -> (Client, Inner) {
    let (near, far) = UnixStream::pair().unwrap();
    let near = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let far = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    let (near, draining) = (Arc::new(Mutex::new(Some(near))), draining.clone());
    let route = get(move |upgrade: WebSocketUpgrade| async move {
        let near = near.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap();
        bounded(upgrade).on_upgrade(move |client| relay(client, near, until, draining))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, route).await });
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, _) = client_async(format!("ws://{address}/"), stream).await.unwrap();
    (client, far)
}

/// The code that the client is sent away with.
async fn closed(client: &mut Client) -> u16 {
    let told = async {
        loop {
            match client.next().await {
                Some(Ok(Said::Close(frame))) => {
                    return frame.map_or(1005, |frame| u16::from(frame.code));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    };
    timeout(FOR_EVER, told).await.expect("it is never closed")
}

/// Waits until the sandbox's end is hung up.
async fn hung_up(inside: &mut Inner) {
    let over = async { while let Some(Ok(_)) = inside.next().await {} };
    timeout(FOR_EVER, over).await.expect("the sandbox is never told");
}

#[tokio::test]
async fn a_tokens_end_ends_the_socket_on_both_sides_and_says_why() {
    let until = Instant::now() + Duration::from_millis(300);
    let (mut client, mut inside) = connected(Some(until), &CancellationToken::new()).await;
    assert_eq!(closed(&mut client).await, close_code::TOKEN);
    assert!(Instant::now() >= until);
    hung_up(&mut inside).await;
}

#[tokio::test]
async fn a_tokens_end_is_told_in_the_middle_of_a_flood() {
    let until = Instant::now() + Duration::from_millis(300);
    let (mut client, mut inside) = connected(Some(until), &CancellationToken::new()).await;
    let flood = async {
        while inside.feed(Said::binary(&b"y"[..])).await.is_ok() {}
        pending::<()>().await
    };
    let code = tokio::select! {
        code = closed(&mut client) => code,
        () = flood => 0,
    };
    assert_eq!(code, close_code::TOKEN);
}

#[tokio::test]
async fn what_is_typed_reaches_a_sandbox_that_never_stops_talking() {
    let (mut client, inside) = connected(None, &CancellationToken::new()).await;
    let (mut to, mut from) = inside.split();
    client.send(Said::binary(&b"stop"[..])).await.unwrap();
    // Small messages, so that there is always another one.
    let flood = async {
        while to.feed(Said::binary(&b"y"[..])).await.is_ok() {}
        pending::<()>().await
    };
    let heard = tokio::select! {
        heard = timeout(FOR_EVER, from.next()) => heard.expect("it is never heard"),
        code = closed(&mut client) => panic!("closed: {code}"),
        () = flood => None,
    };
    assert_eq!(heard.unwrap().unwrap(), Said::binary(&b"stop"[..]));
}

#[tokio::test]
async fn a_sandbox_that_says_why_it_ends_is_believed_also_while_somebody_types() {
    for _ in 0..8 {
        let (mut client, mut inside) = connected(None, &CancellationToken::new()).await;
        let done = tungstenite::protocol::CloseFrame {
            code: close_code::DONE.into(),
            reason: "the terminal has ended".into(),
        };
        inside.send(Said::Close(Some(done))).await.unwrap();
        client.send(Said::binary(&b"ls\r"[..])).await.unwrap();
        drop(inside);
        assert_eq!(closed(&mut client).await, close_code::DONE);
    }
}

#[tokio::test]
async fn whoever_is_there_when_the_orchestrator_goes_is_told_to_come_back() {
    let draining = CancellationToken::new();
    let (mut client, mut inside) = connected(None, &draining).await;
    draining.cancel();
    assert_eq!(closed(&mut client).await, close_code::RESTART);
    hung_up(&mut inside).await;
    // One that dies without a word is another matter.
    let (mut client, inside) = connected(None, &CancellationToken::new()).await;
    drop(inside);
    assert_eq!(closed(&mut client).await, close_code::INTERNAL);
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_socket_and_is_not_taken_for_the_terminals_end() {
    let (mut client, mut inside) = connected(None, &CancellationToken::new()).await;
    client.send(Said::binary(vec![b'x'; MAX_MESSAGE])).await.unwrap();
    assert_eq!(inside.next().await.unwrap().unwrap().len(), MAX_MESSAGE);
    // It may be closed before all of it was written.
    client.send(Said::binary(vec![b'x'; MAX_MESSAGE + 1])).await.ok();
    let code = closed(&mut client).await;
    assert!(matches!(code, close_code::TOO_LARGE | 1006), "{code}");
    hung_up(&mut inside).await;
    // As does one that speaks no WebSocket any more.
    let (mut client, _inside) = connected(None, &CancellationToken::new()).await;
    client.get_mut().write_all(&[0xff; 16]).await.unwrap();
    let code = closed(&mut client).await;
    assert!(matches!(code, close_code::PROTOCOL | 1006), "{code}");
}

#[test]
fn the_token_is_answered_only_where_nothing_else_was_offered() {
    let answered = |offered: &[&'static str]| {
        let offered: Vec<_> = offered.iter().copied().map(HeaderValue::from_static).collect();
        let answer = selected(&offered.iter().collect::<Vec<_>>());
        answer.map(|name| name.to_str().unwrap().to_owned())
    };
    assert_eq!(answered(&["bearer.dA", SUBPROTOCOL]).as_deref(), Some(SUBPROTOCOL));
    assert_eq!(answered(&[SUBPROTOCOL, "bearer.dA"]).as_deref(), Some(SUBPROTOCOL));
    assert_eq!(answered(&["bearer.dA"]).as_deref(), Some("bearer.dA"));
    assert_eq!(answered(&["something.else"]), None);
}
