//! What a process of its own holds and needs, seen from outside.

#[path = "../../src/figures.rs"]
mod report;

use std::{fs, time::Instant};

use futures::{StreamExt, stream};
use serde_json::json;

use crate::support::{Process, eventually};
use report::{quantile, report};

const SOCKETS: usize = 10_000;
/// Handshakes at once; more would only wait for each other.
const AT_ONCE: usize = 50;
const COMMANDS: usize = 200;
const SANDBOXES: usize = 8;

/// Kilobytes of a field of `/proc/<pid>/smaps_rollup`; 0 for a process that is gone.
fn kilobytes(pid: u32, field: &str) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

async fn sockets(process: &Process, sandbox: &str) {
    let product = &process.product;
    product.map("held", sandbox).await;
    let before = kilobytes(process.pid(), "Rss");
    let mut viewers: Vec<_> = stream::iter(0..SOCKETS)
        .map(|_| product.viewer("held", 0))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for viewer in &mut viewers {
        assert_eq!(viewer.next().await.unwrap()["type"], "connection.established");
    }
    let each = (kilobytes(process.pid(), "Rss") - before) / SOCKETS as f64;
    // Held means served: every one of them gets a turn to its end.
    product.dispatch(sandbox, "held", "t1", "run: echo held").await.expect(202);
    for viewer in &mut viewers {
        viewer.until("done").await;
    }
    report("gateway_sockets", viewers.len() as f64);
    report("gateway_socket_memory", each * 1024.0);
}

async fn commands(process: &Process, sandbox: &str) {
    let mut times = Vec::with_capacity(COMMANDS);
    for _ in 0..COMMANDS {
        let started = Instant::now();
        assert_eq!(process.product.exec(sandbox, "true").await["exitCode"], json!(0));
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    report("exec_p50", quantile(&mut times, 0.5));
    report("exec_p95", quantile(&mut times, 0.95));
}

/// Memory that an idle sandbox adds: its own, and its share of what it has in common with others.
async fn idle_sandboxes(process: &Process) {
    let pss = |pids: &[u32]| pids.iter().map(|&pid| kilobytes(pid, "Pss")).sum::<f64>();
    let before = pss(&process.descendants());
    for _ in 0..SANDBOXES {
        process.product.sandbox().await;
    }
    eventually("all processes are there", async || {
        (process.descendants().len() > SANDBOXES).then_some(())
    })
    .await;
    let each = (pss(&process.descendants()) - before) / SANDBOXES as f64;
    report("sandbox_idle_memory", each * 1024.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for a person to read"]
async fn figures_of_the_orchestrator() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), 0).await;
    let sandbox = process.product.sandbox().await;
    commands(&process, &sandbox).await;
    idle_sandboxes(&process).await;
    sockets(&process, &sandbox).await;
}
