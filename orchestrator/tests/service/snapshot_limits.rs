//! How much of snapshots there may be, and what does not fit.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    snapshots::{files, list, restore_path, says, take, with_folder},
    support::{Product, eventually, sql},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_leaves_nothing_behind() {
    let mut folder = PathBuf::new();
    let product = Product::start_with(|config| {
        config.snapshots.largest_mb = 1;
        folder = config.data.join("orchestrator/snapshots");
    })
    .await;
    let id = product.sandbox().await;
    product.exec(&id, "head -c 3000000 /dev/urandom > a").await;
    let path = format!("/v1/sandboxes/{id}/snapshot");
    product.post(&path, json!({})).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert!(list(&product, &id).await.is_empty());
    assert_eq!(files(&folder), 0);
    product.exec(&id, "rm a").await;
    take(&product, &id, json!({})).await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_snapshots_than_there_is_room_for() {
    let mut data = PathBuf::new();
    let product = Product::start_with(|config| {
        config.snapshots.total_mb = 1;
        data.clone_from(&config.data);
    })
    .await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/snapshot");
    product.exec(&id, "head -c 600000 /dev/urandom > a").await;
    let first = take(&product, &id, json!({})).await;
    let full = product.post(&path, json!({})).await.refused(429, "QUOTA_EXCEEDED");
    assert_eq!(full["quotaType"], "snapshots");
    assert_eq!(files(&data.join("orchestrator/snapshots")), 1);
    product.delete(&format!("/v1/sandboxes/{id}/snapshots/{first}")).await.expect(200);
    take(&product, &id, json!({})).await;

    product.exec(&id, "rm a").await;
    let insert = format!(
        "INSERT INTO snapshots (id, sandbox_id, created_at, tags, paths, size, digest, place, state)
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 98)
         SELECT printf('snap-%032d', n), '{id}', 1, '[]', '[]', 0, '', 'folder', 'ready' FROM n"
    );
    sql(&data, &insert).await;
    take(&product, &id, json!({})).await;
    assert_eq!(list(&product, &id).await.len(), 100);
    product.post(&path, json!({})).await.refused(409, "INVALID_STATE");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_a_sandbox_changes_nothing_in_it() {
    let (product, folder) = with_folder().await;
    let small = json!({"resources": {"storageMb": 16}});
    let made = product.post("/v1/sandboxes", small.clone()).await.expect(201);
    let id = made["id"].as_str().unwrap();
    product.sandbox_is(id, "running").await;
    product.exec(id, "head -c 10000000 /dev/zero > a").await;
    let snapshot = take(&product, id, json!({})).await;
    // The old files and the new ones do not fit beside each other.
    let refused = product.post(&restore_path(id, &snapshot), json!({})).await;
    refused.refused(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(says(&product, id, "ls -A && stat -c %s a").await, "a\n10000000");
    product.exec(id, "echo newer > a").await;
    product.post(&restore_path(id, &snapshot), json!({})).await.expect(200);
    assert_eq!(says(&product, id, "ls -A && stat -c %s a").await, "a\n10000000");

    // Of holes there may be more than of disk, but nobody could restore them.
    let holes =
        product.exec(id, "rm a && for i in 1 2 3 4 5; do truncate -s 5M $i || exit; done").await;
    assert_eq!(holes["exitCode"], json!(0), "{holes}");
    let answer = product.post(&format!("/v1/sandboxes/{id}/snapshot"), json!({})).await;
    assert!(!answer.status.is_success(), "{}", answer.body);
    assert_eq!(files(&folder), 1);

    let large = product.sandbox().await;
    product.exec(&large, "head -c 10000000 /dev/zero > a && cp a b").await;
    let mut from = small;
    from["fromSnapshot"] = json!(take(&product, &large, json!({})).await);
    let made = product.post("/v1/sandboxes", from).await.expect(201);
    let made = format!("/v1/sandboxes/{}", made["id"].as_str().unwrap());
    let failed = eventually("it has failed", async || {
        let sandbox = product.get(&made).await.expect(200);
        (sandbox["status"] == "failed").then_some(sandbox)
    })
    .await;
    assert!(failed["error"].as_str().unwrap().contains("disk limit"), "{failed}");
    product.stop().await;
}
