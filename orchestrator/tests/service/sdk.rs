//! The SDK against the real orchestrator: both sides of the protocol mean the same.

mod batch;
mod commands;
mod files;
mod git;
mod network;
mod search;
mod secrets;
mod sessions;
mod snapshots;
mod terminals;
mod tokens;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use sandbox_sdk::{
    client::{Client, ClientConfig, WaitOptions},
    gateway::{GatewayOptions, Handlers, SessionGatewayClient},
    types::{
        CreateSandbox, Dispatch, Event, Exec, InputPart, SandboxStatus, SessionMapping, TurnLimits,
        TurnState,
    },
};

use crate::support::{FaultProxy, Product, eventually};

fn client(product: &Product) -> Client {
    Client::new(ClientConfig::new(&product.base, product.secrets.api_key.clone())).unwrap()
}

fn dispatch(turn: &str, text: &str) -> Dispatch {
    Dispatch {
        turn_id: turn.to_owned(),
        parts: vec![InputPart::Text { text: text.to_owned() }],
        backend: None,
        limits: TurnLimits::default(),
        extra: Default::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_drives_a_sandbox_from_its_making_to_its_end() {
    let product = Product::start().await;
    let client = client(&product);
    client.health().await.unwrap();
    let made = client.sandboxes().create(&CreateSandbox::default()).await.unwrap();
    let id = made.id.as_str();
    let options = WaitOptions::default();
    let ready = client.sandboxes().wait_for(id, SandboxStatus::Running, options).await.unwrap();
    let mapping = SessionMapping {
        user_id: "alice".to_owned(),
        sandbox_id: id.to_owned(),
        runtime_session_id: None,
    };
    client.register_mapping("s1", &mapping).await.unwrap();

    // Through the product's key, and through the sandbox's own token.
    for sandbox in [client.sandbox(id), client.sidecar(&ready.connection.unwrap()).unwrap()] {
        sandbox.write_text("a.txt", "one\n").await.unwrap();
        sandbox.write_bytes("b.bin", &[0, 255, 7]).await.unwrap();
        assert_eq!(sandbox.read_text("a.txt").await.unwrap(), "one\n");
        assert_eq!(sandbox.read_bytes("b.bin").await.unwrap(), [0, 255, 7]);
        let exec = Exec { command: "cat a.txt; exit 4".to_owned(), ..Exec::default() };
        let result = sandbox.exec(&exec).await.unwrap();
        assert_eq!((result.exit_code, result.stdout.as_str()), (4, "one\n"));
        assert!(sandbox.read_text("none").await.unwrap_err().is_not_found());
    }

    let sandbox = client.sandbox(id);
    let receipt = sandbox.dispatch("s1", &dispatch("t1", "run: echo from the sdk")).await.unwrap();
    assert!(!receipt.already_existed);
    let again = sandbox.dispatch("s1", &dispatch("t1", "run: echo from the sdk")).await.unwrap();
    assert!(again.already_existed);
    let mut events = sandbox.events("s1", receipt.since).await.unwrap();
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|(_, kind)| kind != "done") {
        let (seq, event) = events.next().await.unwrap().unwrap();
        kinds.push((seq, event.kind));
    }
    assert_eq!(kinds[0], (1, "execution.started".to_owned()));
    let record = sandbox.turn("s1", "t1").await.unwrap().unwrap();
    assert_eq!((record.state, record.last_seq), (TurnState::Completed, kinds.len() as u64));
    assert!(sandbox.turn("s1", "none").await.unwrap().is_none());
    assert!(!sandbox.abort("s1", Some("t1")).await.unwrap().cancelled);
    assert_eq!(sandbox.session_status("s1").await.unwrap().state, "idle");

    client.sandboxes().stop(id).await.unwrap();
    client.sandboxes().resume(id).await.unwrap();
    client.sandboxes().delete(id).await.unwrap();
    assert!(client.sandboxes().get(id).await.unwrap().is_none());
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_client_shows_exactly_the_log_over_a_line_that_keeps_breaking() {
    let product = Product::start_with(|config| config.demo_pace_ms = 2).await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let proxy = FaultProxy::start(&product.base).await;
    let seen: Arc<Mutex<Vec<(u64, Event)>>> = Arc::default();
    let url = format!("ws://{}/session", proxy.address());
    let token = product.token("alice", "s1");
    let options = GatewayOptions::new(url, &token, "s1").since(0).token_refresh({
        let token = token.clone();
        move || {
            let token = token.clone();
            async move { Err(format!("no need, the token is good: {} bytes", token.len())) }
        }
    });
    let handlers = Handlers::new().on_agent_event({
        let seen = seen.clone();
        move |channel, event, seq| {
            assert_eq!(channel, "session:s1");
            seen.lock().unwrap().push((seq, event.clone()));
        }
    });
    let gateway = SessionGatewayClient::new(options, handlers);
    gateway.connect();
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    product.record(&id, "s1", "t1").await;
    eventually("the line broke again", async || (proxy.cuts() >= 2).then_some(())).await;
    proxy.heal();
    eventually("the end is seen", async || {
        let seen = seen.lock().unwrap();
        seen.last().is_some_and(|(_, event)| event.kind == "done").then_some(())
    })
    .await;
    let log = product.log(&id, "s1").await;
    let seen: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(seq, event)| (*seq, event.kind.clone(), serde_json::Value::from(event.data.clone())))
        .collect();
    assert_eq!(seen, log);
    gateway.disconnect();
    tokio::time::timeout(Duration::from_secs(60), product.stop()).await.unwrap();
}
