//! What clients and agents do in a sandbox, in a container.

use orchestrator::driver::DriverKind;
use serde_json::json;

use super::engine::Engine;
use crate::{
    exec::{Stream, is_gone},
    terminals::Person,
};

on_every_engine!(
    files_streams_and_terminals_work,
    a_turn_streams_to_whoever_looks_on,
    whatever_a_command_has_started_is_gone_after_its_time,
    the_tools_are_those_of_the_image,
);

async fn files_streams_and_terminals_work(engine: &Engine) {
    let product = engine.product().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    let write = json!({"path": "a/b", "content": "AP8=", "encoding": "base64"});
    product.post(&format!("{runtime}/files/write"), write).await.expect(200);
    assert_eq!(product.exec(&id, "stat -c %s a/b").await["stdout"], "2\n");
    assert_eq!(product.exec(&id, "printf text > /home/agent/c").await["exitCode"], 0);
    let read = json!({"path": "/home/agent/c"});
    let read = product.post(&format!("{runtime}/files/read"), read).await.expect(200);
    assert!(read.to_string().contains("\"text\""), "{read}");
    // Whichever uid the engine gives it.
    let shown = product.get(&format!("{runtime}/fs/stat/home/agent/c")).await.expect(200);
    assert_eq!(
        (&shown["data"]["owner"], &shown["data"]["group"]),
        (&json!("agent"), &json!("agent"))
    );
    // A folder of the image, and not the sandbox's.
    let read = json!({"path": "/etc/passwd"});
    product.post(&format!("{runtime}/files/read"), read).await.refused(403, "FORBIDDEN");

    let command = "echo out; echo $WORD in $PWD >&2; exit 3";
    let body = json!({"command": command, "cwd": "/tmp", "env": {"WORD": "here"}});
    let (stdout, stderr, exit) = Stream::open(&product, &id, body).await.rest().await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "here in /tmp\n"));
    assert_eq!(exit["exitCode"], 3);

    let (mut person, _) = Person::sit(&product, &id, "pane-1").await;
    person.types("echo one-$((40 + 2)); tty\r").await;
    person.sees("one-42").await;
    person.sees("/dev/pts/").await;
    product.stop().await;
}

/// The image has none of those that are known, whatever this machine has.
async fn the_tools_are_those_of_the_image(engine: &Engine) {
    let product = engine.product().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    assert_eq!(product.get(&format!("{runtime}/tools")).await.expect(200), json!({"tools": []}));
    let git = json!({"tool": "git", "version": "latest"});
    product.post(&format!("{runtime}/tools/use"), git).await.refused(501, "NOT_IMPLEMENTED");
    product.get(&format!("{runtime}/git/status")).await.refused(501, "NOT_IMPLEMENTED");
    product.stop().await;
}

async fn a_turn_streams_to_whoever_looks_on(engine: &Engine) {
    let product = engine.product().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let mut viewer = product.viewer("s1", 0).await;
    product.dispatch(&id, "s1", "t1", "run: echo really > proof.txt").await.expect(202);
    let seen = viewer.until("done").await;
    assert_eq!(seen.last().unwrap().data["outcome"], "completed", "{seen:?}");
    assert!(seen.iter().any(|event| event.data["part"]["type"] == "tool"), "{seen:?}");
    assert_eq!(product.record(&id, "s1", "t1").await["state"], "completed");
    assert_eq!(product.exec(&id, "cat proof.txt").await["stdout"], "really\n");
    product.stop().await;
}

async fn whatever_a_command_has_started_is_gone_after_its_time(engine: &Engine) {
    let product = engine.product().await;
    let id = product.sandbox().await;
    // What detaches itself is found where programs can adopt. Early gVisor has no way to.
    let detached = match engine.kind {
        DriverKind::Gvisor => "",
        _ => "(setsid sleep 98763 > /dev/null 2>&1 &);",
    };
    let stubborn =
        format!("trap '' TERM HUP INT; {detached} echo up; while :; do sleep 98763; done");
    let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands");
    let body = json!({"command": stubborn, "timeout": 15_000});
    let result = product.post(&path, body).await.expect(200)["result"].clone();
    assert_eq!((&result["exitCode"], &result["timedOut"]), (&json!(124), &json!(true)));
    assert_eq!(result["stdout"], "up\n");
    is_gone(&product, &id, "98763").await;
    product.stop().await;
}
