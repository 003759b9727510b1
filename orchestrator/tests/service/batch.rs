//! Many tasks at once, each in a sandbox of its own.

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Process, Product, eventually};

/// What a batch said, one string for each write of its answer.
async fn writes(product: &Product, path: &str, body: &Value) -> Vec<String> {
    let address = product.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (key, body) = (product.secrets.api_key.expose_secret(), body.to_string());
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{answer}");
    let mut writes = Vec::new();
    loop {
        let (length, body) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return writes;
        }
        writes.push(body[..length].to_owned());
        rest = &body[length + 2..];
    }
}

/// Kind and data of a write, which must be one event.
fn event(write: &str) -> (String, Value) {
    let lines: Vec<_> = write.split('\n').collect();
    let [kind, data, "", ""] = lines[..] else { panic!("not one event: {write:?}") };
    let kind = kind.strip_prefix("event: ").unwrap().to_owned();
    (kind, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_says_how_each_task_ended_one_write_an_event() {
    let product = Product::start().await;
    let body = json!({
        "tasks": [
            {"id": "one", "message": "run: echo first"},
            {"id": "two", "message": "run: sleep 600", "timeoutMs": 3000},
            {"id": "three", "message": "help", "context": {"a": 1}},
        ],
        // What clients send, whether or not anybody chose it.
        "backend": {"type": "opencode"},
        "timeoutMs": 300_000,
        "scalingMode": "fastest",
        "persistent": false,
        "flavour": "sweet",
    });
    for path in ["/batch/run", "/v1/sandboxes/batch/run"] {
        let writes = writes(&product, path, &body).await;
        let events: Vec<_> = writes
            .iter()
            .filter(|write| !write.starts_with(':'))
            .map(|write| event(write))
            .collect();
        let (first, last) = (&events[0], &events[events.len() - 1]);
        assert_eq!((first.0.as_str(), &first.1["totalTasks"]), ("batch.started", &json!(3)));
        assert_eq!(first.1["agent"], "demo", "the agent that it is, not the one that was named");
        assert!(first.1["warnings"][0].as_str().unwrap().contains("flavour"));
        assert_eq!(last.0, "batch.completed");
        assert_eq!((&last.1["succeeded"], &last.1["failed"]), (&json!(2), &json!(1)));
        let of = |id: &str| events.iter().find(|(_, data)| data["taskId"] == id).unwrap();
        for id in ["one", "three"] {
            let (kind, data) = of(id);
            assert_eq!(kind, "task.completed", "{data}");
            assert!(data["tokensUsed"].as_u64().unwrap() > 0 && data["durationMs"].is_u64());
            assert_eq!((&data["retries"], &data["agent"]), (&json!(0), &json!("demo")));
            assert!(!data["response"].as_str().unwrap().is_empty());
        }
        let (kind, data) = of("two");
        assert_eq!(
            (kind.as_str(), &data["code"]),
            ("task.failed", &json!("TURN_TIMEOUT")),
            "{data}"
        );
        assert!(data["error"].is_string());
        assert_eq!(events.len(), 5);
        assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_batch_leaves_its_sandboxes_and_names_them() {
    let product = Product::start_with(|config| config.max_running = 1).await;
    let tasks = json!([
        {"id": "one", "message": "run: echo kept > file"},
        {"id": "two", "message": "run: echo kept > file"},
    ]);
    let body = json!({"tasks": tasks, "persistent": true, "scalingMode": "cheapest"});
    let writes = writes(&product, "/batch/run", &body).await;
    let ids: Vec<_> = writes
        .iter()
        .filter(|write| write.starts_with("event: task.completed"))
        .map(|write| event(write).1["sandboxId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2, "{writes:?}");
    for id in &ids {
        assert_eq!(product.exec(id, "cat file").await["stdout"], "kept\n");
    }
    product.stop().await;
}

/// A batch of tasks that take for ever, begun.
async fn endless(product: &Product) -> reqwest::Response {
    let tasks: Vec<_> =
        (0..3).map(|n| json!({"id": n.to_string(), "message": "run: sleep 600"})).collect();
    let request = product.request(Method::POST, "/batch/run").json(&json!({"tasks": tasks}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    eventually("all of them run", async || {
        let listed = product.get("/v1/sandboxes?status=running").await.expect(200);
        (listed["total"] == 3).then_some(())
    })
    .await;
    answer
}

async fn is_empty(product: &Product) {
    eventually("no sandbox is left", async || {
        (product.get("/v1/sandboxes").await.expect(200)["total"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_client_leaves_leaves_no_sandbox() {
    let product = Product::start().await;
    let answer = endless(&product).await;
    drop(answer);
    is_empty(&product).await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_cut_off_by_a_kill_or_a_shutdown_leaves_no_sandbox() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 0).await;
    let answer = endless(&first.product).await;
    first.kill();
    drop(answer);
    let second = Process::start(data.path(), 0).await;
    is_empty(&second.product).await;
    let answer = endless(&second.product).await;
    assert!(second.terminate().await.success());
    drop(answer);
    let third = Process::start(data.path(), 0).await;
    is_empty(&third.product).await;
    assert!(third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_can_not_be_run_is_refused_before_it_begins() {
    let product = Product::start().await;
    let task = |id: &str| json!({"id": id, "message": "run: true"});
    for body in [
        json!({"tasks": []}),
        json!({"tasks": (0..101).map(|n| task(&n.to_string())).collect::<Vec<_>>()}),
        json!({"tasks": [task("a"), task("a")]}),
        json!({"tasks": [task("")]}),
        json!({"tasks": [{"id": "a", "message": "  "}]}),
        json!({"tasks": [task("a")], "timeoutMs": 0}),
        json!({"tasks": [task("a")], "scalingMode": "sideways"}),
        json!({"tasks": [task("a")], "backend": {"type": "none-such"}}),
    ] {
        product.post("/batch/run", body).await.refused(400, "VALIDATION_ERROR");
    }
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    let open = product.http.post(format!("{}/batch/run", product.base)).json(&json!({}));
    product.send(open).await.refused(401, "AUTH_ERROR");
    product.stop().await;
}
