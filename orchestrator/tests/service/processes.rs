//! Processes that go on after the request which started them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Process, Product, eventually};

fn path(sandbox: &str, rest: &str) -> String {
    format!("/v1/sandboxes/{sandbox}/runtime/process{rest}")
}

async fn spawn(product: &Product, sandbox: &str, body: Value) -> i64 {
    let answer = product.post(&path(sandbox, "/spawn"), body).await.expect(200);
    answer["data"]["pid"].as_i64().unwrap()
}

async fn ended(product: &Product, sandbox: &str, pid: i64) -> Value {
    eventually("the process ends", async || {
        let answer = product.get(&path(sandbox, &format!("/{pid}"))).await.expect(200);
        (answer["data"]["running"] == false).then(|| answer["data"].clone())
    })
    .await
}

#[tokio::test]
async fn what_a_process_wrote_is_read_from_where_a_reader_left() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let command =
        "read line; echo $line; until [ -e go ]; do sleep 0.05; done; echo two >&2; exit 3";
    let pid = spawn(&product, &sandbox, json!({"command": command, "stdin": "one\n"})).await;
    let logs = path(&sandbox, &format!("/{pid}/logs"));
    let events = product.events(product.request(Method::GET, &logs), 1).await;
    assert_eq!((events[0].0, events[0].1.as_str()), (1, "stdout"));
    assert_eq!(events[0].2["data"], "one\n");
    product.exec(&sandbox, "touch go").await;
    // Another reader, who has that already.
    let request = product.request(Method::GET, &logs).header("last-event-id", "1");
    let events = product.events(request, 2).await;
    let kinds: Vec<_> = events.iter().map(|(id, kind, _)| (*id, kind.as_str())).collect();
    assert_eq!(kinds, [(2, "stderr"), (3, "exit")]);
    assert_eq!((&events[0].2["data"], &events[1].2["exitCode"]), (&json!("two\n"), &json!(3)));
    assert_eq!(ended(&product, &sandbox, pid).await["exitCode"], 3);
    product.stop().await;
}

#[tokio::test]
async fn a_signal_reaches_the_whole_tree_and_nobody_elses_process() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let body = json!({"command": "(setsid sleep 987654 &) ; sleep 987654"});
    let pid = spawn(&product, &sandbox, body).await;
    // No process that looks has the number in its own words.
    let sleeping = "grep -l '98765[4]' /proc/[0-9]*/cmdline 2>/dev/null | wc -l";
    let request = product.request(Method::DELETE, &path(&sandbox, &format!("/{pid}")));
    product.send(request.json(&json!({"signal": "SIGKILL"}))).await.expect(200);
    let end = ended(&product, &sandbox, pid).await;
    assert_eq!(end["exitSignal"], "SIGKILL", "{end}");
    eventually("the tree is gone", async || {
        let left = product.exec(&sandbox, sleeping).await;
        (left["stdout"].as_str().unwrap().trim() == "0").then_some(())
    })
    .await;
    let late = product.delete(&path(&sandbox, &format!("/{pid}"))).await.expect(200);
    assert_eq!(late["data"], json!({"pid": pid, "signalled": false}));
    for other in ["/1", "/999999"] {
        product.delete(&path(&sandbox, other)).await.refused(404, "NOT_FOUND");
    }
    let wrong = product.request(Method::DELETE, &path(&sandbox, &format!("/{pid}")));
    product.send(wrong.json(&json!({"signal": "NONE"}))).await.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test]
async fn a_program_gets_its_words_and_its_environment_exactly() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let body = json!({
        "executable": "/usr/bin/env", "env": {"ONLY": "a b"}, "inheritEnv": false,
        "blocking": true,
    });
    let answer = product.post(&path(&sandbox, "/spawn"), body).await.expect(200);
    assert_eq!(answer["data"]["stdout"], "ONLY=a b\n", "{answer}");
    for none in [json!({}), json!({"command": " "}), json!({"command": "a", "executable": "b"})] {
        let answer = product.post(&path(&sandbox, "/spawn"), none).await;
        answer.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test]
async fn code_is_run_to_its_end_or_to_its_time_out() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let run = path(&sandbox, "/run-code");
    let code = json!({"code": "echo out; echo err >&2; exit 4", "language": "bash"});
    let done = product.post(&run, code).await.expect(200)["data"].clone();
    assert_eq!((&done["stdout"], &done["stderr"]), (&json!("out\n"), &json!("err\n")));
    assert_eq!(done["exitCode"], 4);
    let code = "(setsid sh -c 'sleep 2; touch /workspace/late' &); sleep 1000";
    let slow = json!({"code": code, "language": "bash", "timeoutMs": 300});
    let done = product.post(&run, slow).await.expect(200)["data"].clone();
    assert_eq!((&done["exitCode"], &done["timedOut"]), (&json!(124), &json!(true)), "{done}");
    let late = product.exec(&sandbox, "sleep 3; ls /workspace/late").await;
    assert_ne!(late["exitCode"], 0, "what was in the background ended with it");
    let answer = product.post(&run, json!({"code": "1", "language": "cobol"})).await;
    answer.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test]
async fn signals_end_a_process_whatever_the_orchestrators_own_starter_ignored() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start_in_the_background(data.path()).await;
    let (product, sandbox) = (&process.product, process.product.sandbox().await);
    for signal in ["SIGHUP", "SIGINT", "SIGQUIT"] {
        let pid = spawn(product, &sandbox, json!({"executable": "sleep", "args": ["987"]})).await;
        let request = product.request(Method::DELETE, &path(&sandbox, &format!("/{pid}")));
        product.send(request.json(&json!({"signal": signal}))).await.expect(200);
        assert_eq!(ended(product, &sandbox, pid).await["exitSignal"], signal);
    }
    process.terminate().await;
}

#[tokio::test]
async fn zero_is_no_time_limit() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let pid = spawn(&product, &sandbox, json!({"command": "exit 7", "timeoutMs": 0})).await;
    assert_eq!(ended(&product, &sandbox, pid).await["exitCode"], 7);
    product.stop().await;
}

#[tokio::test]
async fn python_is_taken_as_it_stands_in_a_text_of_another_program() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let code = "\n      if True:\n          print('inside')\n    ";
    let run = json!({"code": code, "blocking": true});
    let answer = product.post(&path(&sandbox, "/run-code"), run).await.expect(200);
    assert_eq!(answer["data"]["stdout"], "inside\n", "{answer}");
    product.stop().await;
}
