//! The process ends, in order or not, and what stands after it.

use std::{ffi::OsStr, path::Path};

use scripted_model::ScriptedModel;
use serde_json::json;

use crate::support::{Process, Viewer, eventually, sql};

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_in_the_middle_of_a_turn_loses_nothing_that_a_viewer_has_seen() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 30).await;
    let id = first.product.sandbox().await;
    first.product.map("s1", &id).await;
    first.product.exec(&id, "echo kept > file").await;
    first.product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    let mut viewer = first.product.viewer("s1", 0).await;
    let hello = viewer.next().await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 60 {
        seen.push(viewer.event().await.unwrap());
    }
    let sandboxed = first.descendants();
    assert!(!sandboxed.is_empty());
    first.kill();
    // What was on its way to the viewer when the process died counts as seen, too.
    while let Ok(event) = viewer.event().await {
        seen.push(event);
    }
    eventually("the sandbox is gone", async || {
        sandboxed.iter().all(|pid| !is_alive(*pid)).then_some(())
    })
    .await;

    let second = Process::start(data.path(), 5).await;
    let record = second.product.record(&id, "s1", "t1").await;
    assert_eq!(record["state"], "interrupted");
    assert_eq!(record["error"]["code"], "ORCHESTRATOR_RESTARTED");
    assert!(!record["finalText"].as_str().unwrap().is_empty());
    let sandbox = second.product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(sandbox["status"], "stopped");

    let last = seen.last().unwrap().seq;
    let mut viewer = second.product.viewer("s1", last).await;
    let again = viewer.next().await.unwrap();
    assert_eq!(again["data"]["epoch"], hello["data"]["epoch"], "a killed process loses no commit");
    let rest = viewer.until("done").await;
    let kinds: Vec<_> = rest.iter().rev().take(3).map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["done", "result", "error"]);
    let whole = second.product.viewer("s1", 0).await.until("done").await;
    seen.extend(rest);
    assert_eq!(seen, whole, "what was seen before and after is the log, once");
    let numbers: Vec<_> = whole.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=whole.len() as u64).collect::<Vec<_>>());

    // The turn is over for good; the session and the files go on.
    let again = second.product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(200);
    assert_eq!(again["state"], "interrupted");
    second.product.dispatch(&id, "s1", "t2", "run: cat file").await.expect(202);
    let record = second.product.record(&id, "s1", "t2").await;
    assert_eq!(record["state"], "completed");
    assert_eq!(record["firstSeq"], json!(whole.len() + 1));
    assert_eq!(second.product.exec(&id, "cat file").await["stdout"], "kept\n");
    assert!(second.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_cut_off_in_its_first_request_is_billed_for_what_its_model_read() {
    let data = tempfile::tempdir().unwrap();
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let env = [("SKEIN_MODEL_URL", url.as_str())];
    let first = Process::start_with(data.path(), 0, &env).await;
    let id = first.product.sandbox().await;
    first.product.map("s1", &id).await;
    let body = json!({
        "turnId": "t1", "backend": {"type": "skein"},
        "parts": [{"type": "text", "text": "LONG[2000] SLOW[50]"}],
    });
    let path = format!("{}/messages", first.product.session_path(&id, "s1"));
    first.product.post(&path, body).await.expect(202);
    let mut viewer = first.product.viewer("s1", 0).await;
    for _ in 0..30 {
        viewer.event().await.unwrap();
    }
    first.kill();
    let second = Process::start_with(data.path(), 0, &env).await;
    let record = second.product.record(&id, "s1", "t1").await;
    let usage = record["tokenUsage"].clone();
    assert_eq!((&usage["estimated"], &usage["requests"]), (&json!(true), &json!(1)), "{usage}");
    assert!(usage["inputTokens"].as_u64().unwrap() > 100, "{usage}");
    assert_eq!(usage["outputTokens"], 0, "what an agent says is not counted: {usage}");
    let request = &record["requests"][0];
    assert_eq!(request["tokenUsage"]["inputTokens"], usage["inputTokens"], "{record}");
    assert_eq!((&request["status"], &request["complete"]), (&json!(0), &json!(false)), "{record}");
    assert!(second.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_a_session_keeps_one_log_without_gaps() {
    let data = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let mut sandbox = None;
    for round in 0..4_u64 {
        let process = Process::start(data.path(), 20).await;
        let product = &process.product;
        let id = match &sandbox {
            Some(id) => id,
            None => sandbox.insert(product.sandbox().await),
        };
        product.map("s1", id).await;
        let turn = format!("t{round}");
        product.dispatch(id, "s1", &turn, "give me a long answer").await.expect(202);
        let mut viewer = product.viewer("s1", seen.len() as u64).await;
        for _ in 0..20 + round * 37 {
            seen.push(viewer.event().await.unwrap());
        }
        process.kill();
        while let Ok(event) = viewer.event().await {
            seen.push(event);
        }
    }
    let process = Process::start(data.path(), 0).await;
    let id = sandbox.unwrap();
    let whole = process.product.log(&id, "s1").await;
    assert!(whole.len() >= seen.len());
    for (index, (seq, kind, data)) in whole.iter().enumerate() {
        assert_eq!(*seq, index as u64 + 1);
        if let Some(seen) = seen.get(index) {
            assert_eq!((seq, kind, data), (&seen.seq, &seen.kind, &seen.data));
        }
    }
    assert_eq!(whole.iter().filter(|event| event.1 == "done").count(), 4);
    for round in 0..4 {
        let record = process.product.record(&id, "s1", &format!("t{round}")).await;
        assert_eq!(record["state"], "interrupted");
    }
    assert!(process.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_everything_in_order() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), 20).await;
    let id = process.product.sandbox().await;
    process.product.map("s1", &id).await;
    process.product.dispatch(&id, "s1", "t1", "run: sleep 100").await.expect(202);
    let mut viewer = process.product.viewer("s1", 0).await;
    let epoch = viewer.next().await.unwrap()["data"]["epoch"].clone();
    viewer.event().await.unwrap();
    let sandboxed = process.descendants();
    assert!(!sandboxed.is_empty());
    assert!(process.terminate().await.success());
    assert_eq!(viewer.closed().await, 1001);
    assert!(sandboxed.iter().all(|pid| !is_alive(*pid)), "no process stays behind");

    let process = Process::start(data.path(), 0).await;
    let record = process.product.record(&id, "s1", "t1").await;
    assert_eq!(
        (&record["state"], &record["error"]["code"]),
        (&json!("interrupted"), &json!("ORCHESTRATOR_STOPPED"))
    );
    let mut viewer = process.product.viewer("s1", 0).await;
    assert_eq!(viewer.next().await.unwrap()["data"]["epoch"], epoch);
    assert!(process.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_orchestrator_on_the_same_data_is_refused_in_one_line() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), 0).await;
    let second = second_start(data.path(), "127.0.0.1:0");
    assert!(!second.0);
    assert!(second.1.contains("another orchestrator"), "{}", second.1);
    assert_eq!(second.1.trim().lines().count(), 1, "{}", second.1);
    let elsewhere = tempfile::tempdir().unwrap();
    let taken = process.product.base.strip_prefix("http://").unwrap();
    let busy = second_start(elsewhere.path(), taken);
    assert!(!busy.0 && busy.1.contains("cannot listen on"), "{}", busy.1);
    assert_eq!(busy.1.matches("in use").count(), 1, "{}", busy.1);
    assert!(process.terminate().await.success());
}

/// Whether it went well, and what it said.
fn second_start(data: &Path, address: &str) -> (bool, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .args(["--data", data.to_str().unwrap(), "--addr", address, "--log", "error"])
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_can_not_end_the_turns_of_the_last_run_says_so() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 20).await;
    let id = first.product.sandbox().await;
    first.product.dispatch(&id, "s1", "t1", "run: sleep 100").await.expect(202);
    first.kill();
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON events
                   BEGIN SELECT RAISE(ABORT, 'no room'); END";
    sql(data.path(), trigger).await;
    let path = data.path().to_owned();
    let second = tokio::task::spawn_blocking(move || second_start(&path, "127.0.0.1:0"));
    let second = second.await.unwrap();
    assert!(!second.0);
    let words = second.1.lines().last().unwrap();
    assert!(words.contains("could not be put in order") && words.contains("no room"), "{words}");
    sql(data.path(), "DROP TRIGGER full").await;
    let third = Process::start(data.path(), 0).await;
    assert_eq!(third.product.record(&id, "s1", "t1").await["state"], "interrupted");
    assert!(third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reconnects_by_its_cursor_while_the_server_restarts() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), 0).await;
    let id = process.product.sandbox().await;
    process.product.map("s1", &id).await;
    process.product.dispatch(&id, "s1", "t1", "run: echo one").await.expect(202);
    let before = process.product.viewer("s1", 0).await.until("done").await;
    process.kill();
    let process = Process::start(data.path(), 0).await;
    let url = format!("{}/session?since=2", process.product.base.replacen("http", "ws", 1));
    let mut viewer = Viewer::open(&url, &process.product.token("alice", "s1")).await;
    assert_eq!(viewer.until("done").await, before[2..]);
    assert!(process.terminate().await.success());
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead; its parent has just not looked yet.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_limit_on_open_files_is_raised() {
    let data = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_orchestrator")).canonicalize().unwrap();
    let script = r#"ulimit -S -n 200 && exec "$0" --addr 127.0.0.1:0 --data "$1""#;
    let child = tokio::process::Command::new("sh")
        .args([OsStr::new("-c"), OsStr::new(script), binary.as_os_str(), data.path().as_os_str()])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("SKEIN_LOCAL_MODELS", "off")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let fields = || -> Option<(u64, u64)> {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    eventually("it may open more than the shell gave it", async || {
        // Until then the shell has what this process has.
        let is_it = std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary);
        fields().filter(|(soft, hard)| is_it && *soft == (*hard).min(65_536))
    })
    .await;
}
