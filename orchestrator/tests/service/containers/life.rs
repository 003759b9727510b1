//! Containers come and go with their sandboxes and with the orchestrator.

use orchestrator::driver::DriverKind;
use serde_json::json;

use super::engine::Engine;
use crate::support::{Process, Product, eventually};

on_every_engine!(
    a_stop_keeps_the_files_and_a_delete_the_container_neither,
    after_sigkill_no_container_stays_and_its_sandbox_resumes_with_its_files,
    a_sandbox_keeps_its_driver_over_a_restart,
);

async fn no_container_is_left(engine: &Engine, sandbox: &str) {
    eventually("its containers are gone", async || {
        engine.containers(sandbox).await.is_empty().then_some(())
    })
    .await;
}

async fn a_stop_keeps_the_files_and_a_delete_the_container_neither(engine: &Engine) {
    let product = engine.product().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}");
    let write = "echo kept | tee file > /home/agent/file; echo lost > /tmp/file";
    assert_eq!(product.exec(&id, write).await["exitCode"], 0);
    product.post(&format!("{path}/stop"), json!({})).await.expect(200);
    product.sandbox_is(&id, "stopped").await;
    no_container_is_left(engine, &id).await;

    product.post(&format!("{path}/resume"), json!({})).await.expect(200);
    product.sandbox_is(&id, "running").await;
    assert_eq!(engine.running(&id).await.len(), 1, "a new one");
    let read = "cat file /home/agent/file /tmp/file 2> /dev/null; true";
    assert_eq!(product.exec(&id, read).await["stdout"], "kept\nkept\n");

    product.delete(&path).await.expect(200);
    product.get(&path).await.refused(404, "NOT_FOUND");
    no_container_is_left(engine, &id).await;
    product.stop().await;
}

async fn after_sigkill_no_container_stays_and_its_sandbox_resumes_with_its_files(engine: &Engine) {
    let data = tempfile::tempdir().unwrap();
    let environment = engine.environment();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let first = Process::start_with(data.path(), 0, &environment).await;
    let id = first.product.sandbox().await;
    let lasting = "echo kept > file; setsid sleep 98764 > /dev/null 2>&1 &";
    assert_eq!(first.product.exec(&id, lasting).await["exitCode"], 0);
    assert_eq!(engine.running(&id).await.len(), 1);
    first.kill();
    eventually("it ends without anybody's help", async || {
        engine.running(&id).await.is_empty().then_some(())
    })
    .await;

    let second = Process::start_with(data.path(), 0, &environment).await;
    let sandbox = second.product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(sandbox["status"], "stopped");
    second.product.get("/drivers").await.expect(200);
    no_container_is_left(engine, &id).await;
    assert_eq!(second.product.exec(&id, "cat file").await["stdout"], "kept\n");
    assert!(second.terminate().await.success());
    no_container_is_left(engine, &id).await;
}

async fn a_sandbox_keeps_its_driver_over_a_restart(engine: &Engine) {
    let data = tempfile::tempdir().unwrap();
    let start = async |drivers: [DriverKind; 2]| {
        Product::start_with(|config| {
            engine.set(config);
            config.data = data.path().to_owned();
            config.containers.drivers = drivers.to_vec();
        })
        .await
    };
    let product = start([engine.kind, DriverKind::Bubblewrap]).await;
    let body = json!({"driver": {"type": engine.kind.name()}});
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(product.exec(id, "echo kept > file").await["exitCode"], 0);
    product.stop().await;
    no_container_is_left(engine, id).await;

    let product = start([DriverKind::Bubblewrap, engine.kind]).await;
    assert_eq!(product.exec(id, "cat file").await["stdout"], "kept\n");
    let driver = product.get(&format!("/v1/sandboxes/{id}/driver")).await.expect(200);
    assert_eq!(driver["kind"], engine.kind.name());
    assert_eq!(engine.running(id).await.len(), 1);
    product.stop().await;
}
