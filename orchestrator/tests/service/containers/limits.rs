//! Programs that take what they can get, in a container. Another sandbox works on meanwhile.

use std::path::Path;

use orchestrator::driver::DriverKind;
use serde_json::{Value, json};

use super::engine::Engine;
use crate::support::{Answer, Product, eventually};

on_every_engine!(
    a_memory_hog_is_killed_and_told_why,
    what_sockets_hold_is_bounded,
    processes_are_counted,
    a_fork_bomb_ends_with_its_time,
);

/// A sandbox with little memory and a file.
async fn small(product: &Product) -> String {
    let body = json!({"resources": {"memoryMB": 256, "cpuCores": 1}});
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    product.sandbox_is(&id, "running").await;
    assert_eq!(product.exec(&id, "echo mine > mine").await["exitCode"], 0);
    id
}

async fn run(product: &Product, sandbox: &str, command: Value) -> Answer {
    product.post(&format!("/v1/sandboxes/{sandbox}/runtime/terminals/commands"), command).await
}

/// Runs a command. While it does, another sandbox does its work.
async fn attack(product: &Product, hostile: &str, command: Value) -> Answer {
    let other = product.sandbox().await;
    assert_eq!(product.exec(&other, "echo kept > kept").await["exitCode"], 0);
    let work = async {
        for _ in 0..3 {
            assert_eq!(product.exec(&other, "cat kept").await["stdout"], "kept\n");
        }
    };
    let (answer, ()) = tokio::join!(run(product, hostile, command), work);
    assert_eq!(product.exec(&other, "cat kept").await["stdout"], "kept\n");
    answer
}

/// It takes commands again, and has its file.
async fn works_again(product: &Product, sandbox: &str) {
    eventually("the sandbox works again", async || {
        let answer = run(product, sandbox, json!({"command": "cat mine"})).await;
        (answer.body["result"]["stdout"] == "mine\n").then_some(())
    })
    .await;
}

async fn a_memory_hog_is_killed_and_told_why(engine: &Engine) {
    let product = engine.product().await;
    let hostile = small(&product).await;
    let hog = json!({"command": "exec tail -c 1500000000 /dev/zero", "timeout": 60_000});
    let answer = attack(&product, &hostile, hog).await;
    if engine.kind == DriverKind::Gvisor {
        // To the machine, all that runs in it is one program: it goes as a whole, unless its own kernel
        // has refused the hog before.
        assert_ne!(answer.body["result"]["exitCode"], 0, "{answer:?}");
    } else {
        let result = answer.expect(200)["result"].clone();
        assert_eq!(result["exitCode"], 137, "{result}");
        assert!(result["stderr"].as_str().unwrap().contains("256 MB"), "{result}");
    }
    works_again(&product, &hostile).await;
    product.stop().await;
}

async fn what_sockets_hold_is_bounded(engine: &Engine) {
    let is_counted_apart = Path::new(MEMORY_GROUPS).join(SOCKET_LIMIT).exists();
    if !is_counted_apart || !rustix::process::geteuid().is_root() {
        println!("skipped: there is no such limit here, or only root can set it");
        return;
    }
    // It has sockets of its own, which are its memory.
    if engine.kind == DriverKind::Gvisor {
        return;
    }
    let product = engine.product().await;
    let sandbox = small(&product).await;
    let time = if engine.kind == DriverKind::Docker { "98775" } else { "98776" };
    run(&product, &sandbox, json!({"command": format!("sleep {time} > /dev/null 2>&1 &")})).await;
    let most = eventually("it runs", async || socket_limit(time)).await;
    assert_eq!(most, 64 << 20);
    product.delete(&format!("/v1/sandboxes/{sandbox}")).await.expect(200);
    product.stop().await;
}

/// Of version 1.
const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";
const SOCKET_LIMIT: &str = "memory.kmem.tcp.limit_in_bytes";

/// Bytes that sockets may hold in the group of a process with this argument.
fn socket_limit(argument: &str) -> Option<u64> {
    let mut processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let process = processes.find(|process| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|it| it == argument.as_bytes())
    })?;
    let groups = std::fs::read_to_string(process.join("cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.split_once(":memory:/"))?.1;
    let file = Path::new(MEMORY_GROUPS).join(group).join(SOCKET_LIMIT);
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

async fn processes_are_counted(engine: &Engine) {
    let product = engine.product().await;
    let hostile = small(&product).await;
    // The tests of the engines run at once.
    let time = match engine.kind {
        DriverKind::Docker => "98765",
        DriverKind::Podman => "98766",
        _ => "98767",
    };
    let many = format!(
        "i=0; while [ $i -lt 600 ]; do sleep {time} > /dev/null 2>&1 & i=$((i+1)); done; echo all"
    );
    let answer = attack(&product, &hostile, json!({"command": many, "timeout": 60_000})).await;
    // gVisor counts what it takes of the machine itself, not what runs in it.
    if engine.kind != DriverKind::Gvisor {
        let result = answer.expect(200)["result"].clone();
        assert_eq!(result["stdout"], "", "{result}");
        assert!(result["stderr"].as_str().unwrap().contains("fork"), "{result}");
        assert!((1..=256).contains(&running(time)), "{}", running(time));
    }
    product.delete(&format!("/v1/sandboxes/{hostile}")).await.expect(200);
    eventually("they are gone with the sandbox", async || (running(time) == 0).then_some(())).await;
    product.stop().await;
}

/// Processes with this argument, as the machine sees them.
fn running(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|it| it == argument.as_bytes())).count()
}

async fn a_fork_bomb_ends_with_its_time(engine: &Engine) {
    let product = engine.product().await;
    let hostile = small(&product).await;
    let bomb = json!({
        // A shell that can't fork ends; the one at the top never tries again.
        "command": "sh -c \"$BOMB\" > /dev/null 2>&1 & exec sleep 60",
        "env": {"BOMB": "while :; do sh -c \"$BOMB\" & done"},
        "timeout": 4000,
    });
    let answer = attack(&product, &hostile, bomb).await;
    if engine.kind != DriverKind::Gvisor {
        let result = answer.expect(200)["result"].clone();
        assert!([124, 137].contains(&result["exitCode"].as_i64().unwrap()), "{result}");
    }
    works_again(&product, &hostile).await;
    product.stop().await;
}
