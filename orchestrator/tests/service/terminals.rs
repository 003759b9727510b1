//! Terminals over HTTP and WebSocket.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
    },
};

use crate::support::{ORIGIN, PATIENCE, Product, eventually};

fn path(sandbox: &str, rest: &str) -> String {
    format!("/v1/sandboxes/{sandbox}/runtime/terminals{rest}")
}

/// Somebody at a terminal.
pub(crate) struct Person {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seen: String,
}

impl Person {
    pub(crate) async fn sit(product: &Product, sandbox: &str, terminal: &str) -> (Self, Value) {
        let path = path(sandbox, &format!("/{terminal}/ws?cols=100&rows=30"));
        let url = format!("{}{path}", product.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", product.secrets.api_key.expose_secret());
        let bearer = HeaderValue::from_str(&bearer).unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let (socket, _) = connect_async(request).await.unwrap();
        let mut person = Self { socket, seen: String::new() };
        let ready = person.told("ready").await;
        (person, ready)
    }

    /// The next message in text of this type; what is shown meanwhile is kept.
    async fn told(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Ok(Some(said)) if said["type"] == kind => return said,
                Ok(_) => {}
                Err(code) => panic!("closed: {code}"),
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Value>, u16> {
        match timeout(PATIENCE, self.socket.next()).await.expect("nothing came") {
            Some(Ok(Message::Text(text))) => Ok(Some(serde_json::from_str(&text).unwrap())),
            Some(Ok(Message::Binary(bytes))) => {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
                Ok(None)
            }
            Some(Ok(Message::Close(frame))) => Err(frame.map_or(1005, |frame| frame.code.into())),
            Some(Ok(_)) => Ok(None),
            Some(Err(_)) | None => Err(1006),
        }
    }

    pub(crate) async fn sees(&mut self, text: &str) {
        while !self.seen.contains(text) {
            self.next().await.unwrap_or_else(|code| panic!("closed: {code}, {:?}", self.seen));
        }
    }

    pub(crate) async fn types(&mut self, text: &str) {
        self.socket.send(Message::binary(text.as_bytes().to_vec())).await.unwrap();
    }

    async fn says(&mut self, said: Value) {
        self.socket.send(Message::text(said.to_string())).await.unwrap();
    }

    async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

#[tokio::test]
async fn all_who_look_on_see_the_same_and_whoever_comes_back_sees_what_was() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let (mut first, ready) = Person::sit(&product, &sandbox, "pane-1").await;
    assert_eq!((&ready["connectionId"], &ready["restored"]), (&json!("pane-1"), &json!(false)));
    assert_eq!((&ready["cols"], &ready["rows"]), (&json!(100), &json!(30)));
    // The words that are typed are shown as well, so that the result has to differ from them.
    first.types("echo one-$((40 + 2))\r").await;
    first.sees("one-42").await;
    let (mut second, ready) = Person::sit(&product, &sandbox, "pane-1").await;
    assert_eq!(ready["restored"], true);
    second.sees("one-42").await;
    second.says(json!({"type": "input", "data": "echo two-$((40 + 3))\r"})).await;
    first.sees("two-43").await;
    second.sees("two-43").await;
    second.says(json!({"type": "resize", "cols": 77, "rows": 33})).await;
    second.types("stty size\r").await;
    first.sees("33 77").await;
    second.says(json!({"type": "ping"})).await;
    second.told("pong").await;
    second.says(json!({"type": "resize", "cols": 0, "rows": 33})).await;
    second.told("error").await;
    drop(second);
    first.types("exit 7\r").await;
    assert_eq!(first.told("exit").await["exitCode"], 7);
    assert_eq!(first.closed().await, 1000);
    assert_eq!(first.seen.matches("one-42").count(), 1, "nothing is shown twice");
    product.stop().await;
}

#[tokio::test]
async fn a_terminal_without_a_socket_is_typed_into_and_read_over_http() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let opened = product.post(&path(&sandbox, ""), json!({"name": "shell"})).await.expect(200);
    assert_eq!(opened["data"]["sessionId"], opened["sessionId"]);
    let id = opened["sessionId"].as_str().unwrap().to_owned();
    let one = path(&sandbox, &format!("/{id}"));
    product.post(&format!("{one}/input"), json!({})).await.refused(400, "INVALID_INPUT");
    let resize = product.request(Method::PATCH, &one).json(&json!({"cols": 61, "rows": 17}));
    product.send(resize).await.expect(200);
    product
        .post(&format!("{one}/execute"), json!({"command": "stty size; exit"}))
        .await
        .expect(200);
    let stream = product.request(Method::GET, &format!("{one}/stream")).send().await.unwrap();
    let text = timeout(PATIENCE, stream.text()).await.expect("it does not end").unwrap();
    let shown: String = text
        .split("\n\n")
        .filter_map(|frame| frame.strip_prefix("event: output\ndata: "))
        .map(|data| serde_json::from_str::<Value>(data).unwrap())
        .map(|data| data["properties"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(shown.contains("17 61"), "{shown}");
    assert!(text.contains("event: exit\n"), "{text}");
    product
        .post(&format!("{one}/input"), json!({"data": "a"}))
        .await
        .refused(409, "TERMINAL_CLOSED");
    product.delete(&one).await.expect(200);
    product.get(&one).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test]
async fn whoever_does_not_read_harms_nobody() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let other = product.sandbox().await;
    let (mut deaf, _) = Person::sit(&product, &sandbox, "flood").await;
    deaf.types("yes $((7 * 6))\r").await;
    // From here on nobody reads there.
    let (mut awake, _) = Person::sit(&product, &sandbox, "calm").await;
    awake.types("echo calm-$((1 + 1))\r").await;
    awake.sees("calm-2").await;
    let (mut elsewhere, _) = Person::sit(&product, &other, "calm").await;
    elsewhere.types("echo else-$((1 + 1))\r").await;
    elsewhere.sees("else-2").await;
    product.delete(&path(&sandbox, "/flood")).await.expect(200);
    product.stop().await;
}

#[tokio::test]
async fn a_deleted_terminal_takes_with_it_all_that_was_started_in_it() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let (mut person, ready) = Person::sit(&product, &sandbox, "pane").await;
    person.types("(setsid sh -c 'echo $$ > /workspace/pid; sleep 987654' &)\r").await;
    let pid = eventually("the daemon runs", async || {
        let pid = product.exec(&sandbox, "cat /workspace/pid").await["stdout"].clone();
        pid.as_str().unwrap().trim().parse::<u32>().ok()
    })
    .await;
    let id = ready["sessionId"].as_str().unwrap();
    product.delete(&path(&sandbox, &format!("/{id}"))).await.expect(200);
    assert_eq!(person.closed().await, 1000);
    eventually("the daemon is gone", async || {
        let there = product.exec(&sandbox, &format!("kill -0 {pid}")).await;
        (there["exitCode"] != 0).then_some(())
    })
    .await;
    product.stop().await;
}

#[tokio::test]
async fn what_makes_no_terminal_is_refused() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    for wrong in [json!({"cols": 0}), json!({"rows": 1001}), json!({"cwd": "/none such"})] {
        product.post(&path(&sandbox, ""), wrong).await.refused(400, "VALIDATION_ERROR");
    }
    product.get(&path(&sandbox, "/x/ws")).await.refused(400, "VALIDATION_ERROR");
    product.get(&path(&sandbox, "/none")).await.refused(404, "NOT_FOUND");
    for _ in 0..16 {
        product.post(&path(&sandbox, ""), json!({"command": "cat"})).await.expect(200);
    }
    product.post(&path(&sandbox, ""), json!({})).await.refused(429, "QUOTA_EXCEEDED");
    product.stop().await;
}

#[tokio::test]
async fn a_pages_token_opens_its_own_terminal_and_no_other() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let minted = async |wish: Value| {
        let path = format!("/v1/sandboxes/{sandbox}/tokens");
        let answer = product.post(&path, wish).await.expect(201);
        answer["token"].as_str().unwrap().to_owned()
    };
    let runner = minted(json!({"scope": "session-runtime", "sessionId": "pane"})).await;
    let reader = minted(json!({"scope": "read-only"})).await;
    let made = product.get(&format!("/v1/sandboxes/{sandbox}")).await.expect(200);
    let own = made["connection"]["authToken"].as_str().unwrap();
    // As a browser's page has to: the token is among the subprotocols, and one of them is chosen.
    let open = async |terminal: &str, token: &str, origin: &str| {
        let path = format!("/v1/sidecar-proxy/{sandbox}/terminals/{terminal}/ws");
        let url = format!("{}{path}", product.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let offered = format!("bearer.{}", URL_SAFE_NO_PAD.encode(token));
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered.parse().unwrap());
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        match connect_async(request).await {
            Ok((_, answer)) => {
                assert_eq!(answer.headers()[header::SEC_WEBSOCKET_PROTOCOL], offered);
                101
            }
            Err(Error::Http(answer)) => answer.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    for (terminal, token, origin, status) in [
        ("other", runner.as_str(), ORIGIN, 403),
        ("pane", runner.as_str(), "https://evil.example", 403),
        ("pane", reader.as_str(), ORIGIN, 403),
        ("pane", "none", ORIGIN, 401),
        // It is no page's, and so counts in the header alone.
        ("pane", own, ORIGIN, 401),
    ] {
        assert_eq!(open(terminal, token, origin).await, status, "{terminal} {origin}");
    }
    let none = product.get(&path(&sandbox, "")).await.expect(200);
    assert_eq!(none["data"], json!([]), "nothing was opened for those who were refused");
    assert_eq!(open("pane", &runner, ORIGIN).await, 101);
    let all = product.get(&path(&sandbox, "")).await.expect(200);
    assert_eq!(all["data"][0]["connectionId"], "pane");
    product.stop().await;
}

#[tokio::test]
async fn of_a_long_command_the_beginning_is_told() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let command = format!("cat # {}", "\u{1}".repeat(40_000));
    for _ in 0..5 {
        product.post(&path(&sandbox, ""), json!({"command": command})).await.expect(200);
    }
    let all = product.get(&path(&sandbox, "")).await.expect(200);
    let told = all["data"][4]["command"].as_str().unwrap();
    assert!(told.starts_with("cat # ") && told.len() < command.len(), "{}", told.len());
    product.stop().await;
}
