//! What becomes of sandboxes whose lifetime is over, and of what was long ago.

use std::{fs, path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Product, eventually, sql};

async fn watchful(data: &Path, max_sandboxes: usize) -> Product {
    Product::start_with(|config| {
        config.data = data.to_owned();
        config.max_sandboxes = max_sandboxes;
        config.tuning.idle_check = Duration::from_millis(50);
    })
    .await
}

async fn made(product: &Product, body: Value) -> String {
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// Waits until nothing of a sandbox's files is left, under its name or another one.
async fn files_are_gone(data: &Path, id: &str) {
    eventually("its files are gone", async || {
        let entries = fs::read_dir(data.join("orchestrator/sandboxes")).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        (!names.any(|name| name == id || name.starts_with('.'))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_expired_sandbox_go_at_once_and_it_goes_itself_after_a_day() {
    let data = tempfile::tempdir().unwrap();
    let product = watchful(data.path(), 10).await;
    let other = product.sandbox().await;
    product.exec(&other, "echo kept > file").await;
    let body = json!({"maxLifetimeSeconds": 1, "idempotencyKey": "chat-1"});
    let id = made(&product, body.clone()).await;
    let path = format!("/v1/sandboxes/{id}");
    product.sandbox_is(&id, "expired").await;
    files_are_gone(data.path(), &id).await;
    assert_eq!(product.get("/usage").await.expect(200)["totalSandboxes"], 1, "the other one");
    let again = product.post("/v1/sandboxes", body.clone()).await.expect(200);
    assert_eq!((&again["id"], &again["status"]), (&json!(id), &json!("expired")));
    product.stop().await;

    // As if the process had been killed before they were gone.
    let left = data.path().join("orchestrator/sandboxes").join(&id).join("workspace/left");
    fs::create_dir_all(left).unwrap();
    let product = watchful(data.path(), 10).await;
    files_are_gone(data.path(), &id).await;
    assert_eq!(product.get(&path).await.expect(200)["status"], "expired");
    product.stop().await;

    let a_day_ago = "UPDATE sandboxes SET expired_at = expired_at - 24 * 3600 * 1000";
    sql(data.path(), a_day_ago).await;
    let product = watchful(data.path(), 10).await;
    let new = eventually("its key is free", async || {
        let answer = product.post("/v1/sandboxes", body.clone()).await;
        (answer.status == 201).then_some(answer.body)
    })
    .await;
    assert_ne!(new["id"], id.as_str());
    product.get(&path).await.refused(404, "NOT_FOUND");
    assert_eq!(product.exec(&other, "cat file").await["stdout"], "kept\n");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_sandboxes_take_no_place_and_are_no_more_than_may_exist() {
    let data = tempfile::tempdir().unwrap();
    let product = watchful(data.path(), 1).await;
    let mut expired: Vec<String> = Vec::new();
    for _ in 0..2 {
        let id = made(&product, json!({"maxLifetimeSeconds": 600})).await;
        let full = product.post("/v1/sandboxes", json!({})).await.refused(429, "QUOTA_EXCEEDED");
        let counted = (&full["quotaType"], &full["current"], &full["limit"]);
        assert_eq!(counted, (&json!("sandboxes"), &json!(1), &json!(1)));
        let path = format!("/v1/sandboxes/{id}");
        let update = product.request(Method::PATCH, &path).json(&json!({"maxLifetimeSeconds": 1}));
        product.send(update).await.expect(200);
        product.sandbox_is(&id, "expired").await;
        expired.push(id);
    }
    let first = format!("/v1/sandboxes/{}", expired[0]);
    eventually("the first is gone", async || {
        (product.get(&first).await.status == 404).then_some(())
    })
    .await;
    let listed = product.get("/v1/sandboxes").await.expect(200);
    assert_eq!((&listed["total"], &listed["sandboxes"][0]["id"]), (&json!(1), &json!(expired[1])));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_sandbox_expired_is_told_once() {
    let data = tempfile::tempdir().unwrap();
    let product = watchful(data.path(), 10).await;
    let id = made(&product, json!({"maxLifetimeSeconds": 1})).await;
    product.sandbox_is(&id, "expired").await;
    product.stop().await;
    // As if the process had been killed while the sandbox was still on its way out.
    sql(data.path(), "UPDATE sandboxes SET status = 'running'").await;
    let product = watchful(data.path(), 10).await;
    assert_eq!(product.get(&format!("/v1/sandboxes/{id}")).await.expect(200)["status"], "expired");
    product.stop().await;
    let told = sql(data.path(), "SELECT kind FROM events WHERE kind = 'sandbox.expired'").await;
    assert_eq!(told.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_long_ago_is_forgotten_while_the_orchestrator_runs() {
    let data = tempfile::tempdir().unwrap();
    watchful(data.path(), 10).await.stop().await;
    let columns = "sandbox_id, started_at, seen_at, ended_at";
    sql(data.path(), &format!("INSERT INTO runs ({columns}) VALUES ('old', 1, 2, 2)")).await;
    let product = watchful(data.path(), 10).await;
    eventually("it is forgotten", async || {
        sql(data.path(), "SELECT sandbox_id FROM runs").await.is_empty().then_some(())
    })
    .await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_goes_on_while_the_orchestrator_does_not_run() {
    let data = tempfile::tempdir().unwrap();
    let product = watchful(data.path(), 10).await;
    let over = made(&product, json!({"maxLifetimeSeconds": 600, "name": "over"})).await;
    let left = made(&product, json!({"maxLifetimeSeconds": 6000, "name": "left"})).await;
    product.stop().await;
    // As if it had stood still for so long.
    let later = "UPDATE sandboxes SET first_started_at = first_started_at - 601 * 1000";
    sql(data.path(), later).await;
    let product = watchful(data.path(), 10).await;
    product.sandbox_is(&over, "expired").await;
    files_are_gone(data.path(), &over).await;
    assert_eq!(product.exec(&left, "echo still there").await["stdout"], "still there\n");
    product.stop().await;
}
