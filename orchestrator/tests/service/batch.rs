//! Many tasks at once, each in a sandbox of its own.

use std::{fs, pin::pin, time::Duration};

use reqwest::Method;
use scripted_model::ScriptedModel;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{PATIENCE, Process, Product, eventually};

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

/// The same while somebody looks how many sandboxes there are: never more than so many.
async fn writes_within(product: &Product, body: &Value, most: u64) -> Vec<String> {
    let mut told = pin!(writes(product, "/batch/run", body));
    let watched = async {
        loop {
            tokio::select! {
                told = &mut told => return told,
                () = sleep(Duration::from_millis(20)) => {
                    let listed = product.get("/v1/sandboxes").await.expect(200);
                    assert!(listed["total"].as_u64().unwrap() <= most, "{listed}");
                }
            }
        }
    };
    timeout(PATIENCE, watched).await.expect("the batch never ends")
}

/// Kind and data of a write, which must be one event.
fn event(write: &str) -> (String, Value) {
    let lines: Vec<_> = write.split('\n').collect();
    let [kind, data, "", ""] = lines[..] else { panic!("not one event: {write:?}") };
    let kind = kind.strip_prefix("event: ").unwrap().to_owned();
    (kind, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
}

/// How the first task ended.
fn ended(writes: &[String]) -> (String, Value) {
    event(writes.iter().find(|write| write.starts_with("event: task.")).unwrap())
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
        "backend": {"type": "opencode", "server": {"port": 4096}},
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
        assert!(first.1["warnings"][1].as_str().unwrap().contains("backend.server"));
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

#[tokio::test(flavor = "multi_thread")]
async fn the_cheapest_way_is_one_task_after_the_other() {
    let product = Product::start().await;
    let body = json!({"tasks": tasks(3, "run: sleep 0.5"), "scalingMode": "cheapest"});
    let writes = writes_within(&product, &body, 1).await;
    let completed = writes.iter().filter(|write| write.starts_with("event: task.completed"));
    assert_eq!(completed.count(), 3, "{writes:?}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_batches_together_make_no_more_sandboxes_than_can_run() {
    let product = Product::start_with(|config| config.max_running = 1).await;
    let first = endless(&product, 1).await;
    let mut body = json!({"tasks": tasks(1, "run: true"), "timeoutMs": 2000});
    let writes = writes_within(&product, &body, 1).await;
    // Its time passes while it waits, too.
    let (kind, data) = ended(&writes);
    assert_eq!((kind.as_str(), &data["code"]), ("task.failed", &json!("TURN_TIMEOUT")), "{data}");
    drop(first);
    body["timeoutMs"] = json!(300_000);
    let writes = writes_within(&product, &body, 1).await;
    assert_eq!(ended(&writes).0, "task.completed", "{writes:?}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_for_room_without_trying_again_and_again() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let env = [("SKEIN_MAX_RUNNING_SANDBOXES", "1")];
    let process = Process::start_logging_with(data.path(), &log, &env).await;
    let product = &process.product;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "run: touch begun; sleep 600").await.expect(202);
    eventually("it is at work", async || {
        (product.exec(&id, "cat begun").await["exitCode"] == 0).then_some(())
    })
    .await;
    let body = json!({"tasks": tasks(1, "run: true"), "timeoutMs": 4000});
    let writes = writes(product, "/batch/run", &body).await;
    let (_, data) = ended(&writes);
    assert_eq!((&data["code"], &data["retries"]), (&json!("TURN_TIMEOUT"), &json!(0)), "{data}");
    assert!(process.terminate().await.success());
    let log = fs::read_to_string(log).unwrap();
    // By who made it, and by who wanted to use it.
    let tries = log.matches("sandbox not started").count();
    assert!((1..=2).contains(&tries), "{tries} tries");
}

fn tasks(count: usize, message: &str) -> Vec<Value> {
    (0..count).map(|n| json!({"id": n.to_string(), "message": message})).collect()
}

/// A batch of tasks that take for ever, begun.
async fn endless(product: &Product, count: usize) -> reqwest::Response {
    let tasks = tasks(count, "run: sleep 600");
    let request = product.request(Method::POST, "/batch/run").json(&json!({"tasks": tasks}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    eventually("all of them run", async || {
        let listed = product.get("/v1/sandboxes?status=running").await.expect(200);
        (listed["total"] == count).then_some(())
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
    let answer = endless(&product, 3).await;
    drop(answer);
    is_empty(&product).await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_cut_off_by_a_kill_or_a_shutdown_leaves_no_sandbox() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 0).await;
    let answer = endless(&first.product, 3).await;
    first.kill();
    drop(answer);
    let second = Process::start(data.path(), 0).await;
    is_empty(&second.product).await;
    let answer = endless(&second.product, 3).await;
    assert!(second.terminate().await.success());
    drop(answer);
    let third = Process::start(data.path(), 0).await;
    is_empty(&third.product).await;
    assert!(third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_begins_once_a_shutdown_has() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let product = Product::start_with(|config| {
        config.models.model_url = Some(url);
        config.tuning.shutdown_grace = PATIENCE;
    })
    .await;
    // Its model is asked in vain, which keeps the shutdown waiting for what that costs.
    let id = product.sandbox().await;
    let parts = json!([{"type": "text", "text": "SLOW[600000] SAY[late]"}]);
    let slow = json!({"turnId": "t1", "parts": parts, "backend": {"type": "skein"}});
    let messages = format!("{}/messages", product.session_path(&id, "s1"));
    product.post(&messages, slow).await.expect(202);
    eventually("its model is asked", async || (!model.requests().is_empty()).then_some(())).await;
    let tasks = tasks(100, "run: sleep 600");
    let body = json!({"tasks": tasks, "backend": {"type": "demo"}, "scalingMode": "cheapest"});
    let request = product.request(Method::POST, "/batch/run").json(&body);
    let answer = request.send().await.unwrap();
    eventually("the first task runs", async || {
        let listed = product.get("/v1/sandboxes?status=running").await.expect(200);
        (listed["total"] == 2).then_some(())
    })
    .await;
    let ((), told) = tokio::join!(product.stop(), answer.text());
    let told = told.unwrap();
    assert_eq!(told.matches("event: task.").count(), 1, "{told}");
    assert!(told.contains("event: batch.completed"), "{told}");
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
        json!({"tasks": [task("a")], "backend": {"type": "demo", "profile": "reckless"}}),
    ] {
        product.post("/batch/run", body).await.refused(400, "VALIDATION_ERROR");
    }
    let files = json!({"type": "demo", "authFiles": [{"path": "a", "content": "b"}]});
    let files = json!({"tasks": [task("a")], "backend": files});
    product.post("/batch/run", files).await.refused(501, "NOT_IMPLEMENTED");
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    let open = product.http.post(format!("{}/batch/run", product.base)).json(&json!({}));
    product.send(open).await.refused(401, "AUTH_ERROR");
    product.stop().await;
}
