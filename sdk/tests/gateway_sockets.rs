//! The gateway client over real sockets.
#![allow(clippy::unwrap_used)]

#[path = "support/rig.rs"]
#[allow(dead_code)]
mod rig;

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rig::{CHANNEL, EPOCH, event, replay_complete, replay_start, welcome};
use sandbox_sdk::gateway::{
    GatewayOptions, GatewayState, Handlers, MemoryStorage, SessionGatewayClient,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

/// Long enough for a slow machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a gateway does after its welcome.
#[derive(Clone, Copy)]
enum Manner {
    /// Sends the log after the cursor, this many events, then breaks off without a word.
    CutAfter(u64),
    /// Sends the log after the cursor and stays.
    Stay,
    /// Closes with this code at once.
    Refuse(u16),
}

#[derive(Clone)]
struct Gateway {
    log: u64,
    /// One for each connection; the last one for all that follow.
    manners: Arc<Vec<Manner>>,
    connections: Arc<AtomicUsize>,
    /// What every connection saw.
    seen: mpsc::UnboundedSender<Seen>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Token(String),
    Frame(Value),
    Closed(Option<u16>),
}

#[derive(Deserialize)]
struct Cursor {
    since: Option<u64>,
}

async fn serve(log: u64, manners: &[Manner]) -> (String, mpsc::UnboundedReceiver<Seen>) {
    let (seen, receiver) = mpsc::unbounded_channel();
    let gateway =
        Gateway { log, manners: Arc::new(manners.to_vec()), connections: Arc::default(), seen };
    let router = Router::new()
        .route("/session", get(upgrade))
        .route("/forbidden", get(|| async { StatusCode::FORBIDDEN }))
        .with_state(gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/session", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, receiver)
}

async fn upgrade(
    State(gateway): State<Gateway>,
    Query(cursor): Query<Cursor>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let offered = headers["sec-websocket-protocol"].to_str().unwrap().to_owned();
    let bearer = offered.split("bearer.").nth(1).unwrap();
    let token = String::from_utf8(URL_SAFE_NO_PAD.decode(bearer).unwrap()).unwrap();
    gateway.seen.send(Seen::Token(token)).ok();
    let index = gateway.connections.fetch_add(1, Ordering::SeqCst);
    let manner = gateway.manners[index.min(gateway.manners.len() - 1)];
    upgrade
        .protocols(["tangle.session.v1"])
        .on_upgrade(move |socket| connection(socket, gateway, cursor.since.unwrap_or(0), manner))
        .into_response()
}

async fn connection(mut socket: WebSocket, gateway: Gateway, since: u64, manner: Manner) {
    let (frames, cut) = match manner {
        Manner::Refuse(code) => {
            let frame = CloseFrame { code, reason: "".into() };
            socket.send(Message::Close(Some(frame))).await.ok();
            return;
        }
        Manner::CutAfter(count) => ((since + 1..=gateway.log).take(count as usize), true),
        Manner::Stay => ((since + 1..=gateway.log).take(usize::MAX), false),
    };
    let opening = [welcome(gateway.log, EPOCH), replay_start(since, gateway.log)];
    for frame in opening.into_iter().chain(frames.map(event)) {
        if socket.send(Message::text(frame.to_string())).await.is_err() {
            return;
        }
    }
    if cut {
        return;
    }
    let end = replay_complete(since, gateway.log);
    socket.send(Message::text(end.to_string())).await.ok();
    while let Some(message) = socket.recv().await {
        match message {
            Ok(Message::Text(text)) => {
                let frame = serde_json::from_str(&text).unwrap();
                gateway.seen.send(Seen::Frame(frame)).ok();
            }
            Ok(Message::Close(frame)) => {
                gateway.seen.send(Seen::Closed(frame.map(|frame| frame.code))).ok();
                return;
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// What a viewer saw.
#[derive(Debug, PartialEq)]
enum Shown {
    Event(u64),
    State(GatewayState),
}

fn watch(options: GatewayOptions) -> (SessionGatewayClient, mpsc::UnboundedReceiver<Shown>) {
    let (shown, receiver) = mpsc::unbounded_channel();
    let states = shown.clone();
    let handlers = Handlers::new()
        .on_agent_event(move |channel, event, seq| {
            assert_eq!(channel, CHANNEL);
            assert_eq!(event.data["number"], seq);
            shown.send(Shown::Event(seq)).ok();
        })
        .on_state(move |state| {
            states.send(Shown::State(state)).ok();
        });
    let client = SessionGatewayClient::new(options, handlers);
    client.connect();
    (client, receiver)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

async fn events(shown: &mut mpsc::UnboundedReceiver<Shown>, until: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.last() != Some(&until) {
        if let Shown::Event(seq) = within(shown.recv()).await.unwrap() {
            seqs.push(seq);
        }
    }
    seqs
}

async fn state(shown: &mut mpsc::UnboundedReceiver<Shown>, wanted: GatewayState) {
    while within(shown.recv()).await.unwrap() != Shown::State(wanted) {}
}

fn options(url: &str) -> GatewayOptions {
    GatewayOptions::new(url, "first token", "s1").since(0)
}

#[tokio::test]
async fn cut_connections_lose_nothing_and_double_nothing() {
    let manners = [Manner::CutAfter(7), Manner::CutAfter(20), Manner::Stay];
    let (url, _seen) = serve(50, &manners).await;
    let (client, mut shown) = watch(options(&url));
    assert_eq!(events(&mut shown, 50).await, (1..=50).collect::<Vec<_>>());
    let stats = client.stats();
    assert_eq!((stats.last_seq, stats.connects), (50, 3));
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_connection_comes_back() {
    let (url, mut seen) = serve(3, &[Manner::Refuse(4401), Manner::Stay]).await;
    let far = i64::MAX / 2000;
    let options =
        options(&url).token_refresh(move || async move { Ok(("second token".to_owned(), far)) });
    let (_client, mut shown) = watch(options);
    assert_eq!(events(&mut shown, 3).await, [1, 2, 3]);
    assert_eq!(within(seen.recv()).await, Some(Seen::Token("first token".into())));
    assert_eq!(within(seen.recv()).await, Some(Seen::Token("second token".into())));
}

#[tokio::test]
async fn a_token_is_replaced_on_the_open_connection() {
    let (url, mut seen) = serve(1, &[Manner::Stay]).await;
    let (client, mut shown) = watch(options(&url));
    events(&mut shown, 1).await;
    assert_eq!(within(seen.recv()).await, Some(Seen::Token("first token".into())));
    client.update_token("second token", None);
    let update = json!({"type": "token.update", "token": "second token"});
    assert_eq!(within(seen.recv()).await, Some(Seen::Frame(update)));
    assert_eq!(client.stats().connects, 1);
    assert_eq!(client.state(), GatewayState::Connected);
}

#[tokio::test]
async fn a_gateway_that_forbids_is_not_asked_again() {
    let (url, _seen) = serve(1, &[Manner::Refuse(4403)]).await;
    let (client, mut shown) = watch(options(&url));
    state(&mut shown, GatewayState::Failed).await;
    assert_eq!(client.state(), GatewayState::Failed);

    let (_client, mut shown) = watch(options(&url.replace("/session", "/forbidden")));
    state(&mut shown, GatewayState::Failed).await;
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/session", listener.local_addr().unwrap());
    drop(listener);
    let (client, mut shown) = watch(options(&url));
    loop {
        if let Shown::State(GatewayState::Reconnecting { attempt, .. }) =
            within(shown.recv()).await.unwrap()
        {
            assert_eq!(attempt, 1);
            break;
        }
    }
    client.disconnect();
    state(&mut shown, GatewayState::Disconnected).await;
}

#[tokio::test]
async fn dropping_the_last_client_closes_the_connection() {
    let (url, mut seen) = serve(1, &[Manner::Stay]).await;
    let (client, mut shown) = watch(options(&url));
    events(&mut shown, 1).await;
    let clone = client.clone();
    drop(client);
    assert_eq!(clone.state(), GatewayState::Connected);
    drop(clone);
    assert_eq!(within(seen.recv()).await, Some(Seen::Token("first token".into())));
    assert_eq!(within(seen.recv()).await, Some(Seen::Closed(Some(1000))));
}

#[tokio::test]
async fn another_client_goes_on_from_the_stored_cursor() {
    let (url, _seen) = serve(9, &[Manner::CutAfter(4), Manner::Stay]).await;
    let storage = MemoryStorage::default();
    let with_storage = |since| {
        let mut options = GatewayOptions::new(&url, "token", "s1").replay_storage(storage.clone());
        options.since = since;
        options
    };
    let (client, mut shown) = watch(with_storage(Some(0)));
    assert_eq!(events(&mut shown, 4).await, [1, 2, 3, 4]);
    client.disconnect();
    state(&mut shown, GatewayState::Disconnected).await;
    let (_client, mut shown) = watch(with_storage(None));
    assert_eq!(events(&mut shown, 9).await, [5, 6, 7, 8, 9]);
}

#[test]
fn without_a_runtime_the_client_says_so() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&errors);
    let handlers =
        Handlers::new().on_error(move |message, _| said.lock().unwrap().push(message.to_owned()));
    let client = SessionGatewayClient::new(options("ws://127.0.0.1:1/session"), handlers);
    client.connect();
    assert_eq!(client.state(), GatewayState::Failed);
    assert_eq!(errors.lock().unwrap().len(), 1);
}

#[test]
fn neither_options_nor_client_show_the_token() {
    let options = options("ws://127.0.0.1:1/session");
    assert!(!format!("{options:?}").contains("first token"));
    let client = SessionGatewayClient::new(options, Handlers::new());
    assert!(!format!("{client:?}").contains("first token"));
}
