//! Snapshots: taken, listed, restored, begun with; here and in the operator's bucket.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Process, Product, S3, eventually, s3, sql};

/// A product, and the folder that its orchestrator keeps snapshots in.
pub(crate) async fn with_folder() -> (Product, PathBuf) {
    let mut folder = PathBuf::new();
    let product = Product::start_with(|config| {
        folder = config.data.join("orchestrator/snapshots");
    })
    .await;
    (product, folder)
}

/// A product that keeps snapshots in a bucket of the service.
async fn with_bucket(service: &S3, bucket: &str, key_id: &str) -> Product {
    Product::start_with(|config| {
        config.snapshots.s3_bucket = Some(bucket.to_owned());
        config.snapshots.s3_endpoint = Some(service.endpoint());
        config.snapshots.s3_access_key_id = Some(key_id.to_owned());
        config.snapshots.s3_secret_access_key = Some(s3::SECRET.into());
    })
    .await
}

/// A product whose callers may use the service as their storage.
pub(crate) async fn with_service(service: &S3) -> Product {
    let endpoint = service.endpoint();
    Product::start_with(|config| config.snapshots.endpoints = vec![endpoint]).await
}

pub(crate) async fn take(product: &Product, sandbox: &str, body: Value) -> String {
    let path = format!("/v1/sandboxes/{sandbox}/snapshot");
    let taken = product.post(&path, body).await.expect(200);
    assert!(taken["sizeBytes"].as_u64().unwrap() > 0, "{taken}");
    taken["snapshotId"].as_str().unwrap().to_owned()
}

pub(crate) async fn list(product: &Product, sandbox: &str) -> Vec<Value> {
    let path = format!("/v1/sandboxes/{sandbox}/snapshots");
    product.get(&path).await.expect(200)["snapshots"].as_array().unwrap().clone()
}

pub(crate) fn restore_path(sandbox: &str, snapshot: &str) -> String {
    format!("/v1/sandboxes/{sandbox}/snapshots/{snapshot}/restore")
}

pub(crate) async fn says(product: &Product, sandbox: &str, command: &str) -> String {
    product.exec(sandbox, command).await["stdout"].as_str().unwrap().trim_end().to_owned()
}

pub(crate) fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_since_is_as_it_was_after_a_restore() {
    let (product, folder) = with_folder().await;
    let id = product.sandbox().await;
    product.exec(&id, "mkdir d && echo old > d/a && echo mine > ~/b && chmod 750 d/a").await;
    let snapshot = take(&product, &id, json!({"tags": ["first", "grün"]})).await;
    product.exec(&id, "echo new > d/a && rm ~/b && echo more > c").await;
    let listed = list(&product, &id).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["snapshotId"], json!(snapshot));
    assert_eq!(listed[0]["projectRef"], json!(id));
    assert_eq!((&listed[0]["tags"], &listed[0]["paths"]), (&json!(["first", "grün"]), &json!([])));

    product.post(&restore_path(&id, &snapshot), json!({})).await.expect(200);
    assert_eq!(
        says(&product, &id, "cat d/a ~/b && stat -c %a d/a && ls").await,
        "old\nmine\n750\nd"
    );

    let path = format!("/v1/sandboxes/{id}/snapshots/{snapshot}");
    let other = product.sandbox().await;
    for wrong in [
        format!("/v1/sandboxes/{other}/snapshots/{snapshot}"),
        format!("/v1/sandboxes/{id}/snapshots/snap-0"),
    ] {
        product.delete(&wrong).await.refused(404, "NOT_FOUND");
        product.post(&format!("{wrong}/restore"), json!({})).await.refused(404, "NOT_FOUND");
    }
    product.delete(&path).await.expect(200);
    product.delete(&path).await.refused(404, "NOT_FOUND");
    assert!(list(&product, &id).await.is_empty());
    assert_eq!(files(&folder), 0);
    product.get("/v1/sandboxes/nobody/snapshots").await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_some_paths_is_added_to_what_is_there() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.exec(&id, "mkdir a b && echo 1 > a/x && echo 1 > b/x").await;
    let snapshot = take(&product, &id, json!({"paths": ["a"]})).await;
    assert_eq!(list(&product, &id).await[0]["paths"], json!(["/workspace/a"]));
    product.exec(&id, "echo 2 > a/x && echo 2 > b/x").await;
    product.post(&restore_path(&id, &snapshot), json!({})).await.expect(200);
    assert_eq!(says(&product, &id, "cat a/x b/x").await, "1\n2");
    for paths in [json!(["/etc"]), json!(["../.."]), json!([""]), json!(vec!["a"; 65])] {
        let path = format!("/v1/sandboxes/{id}/snapshot");
        product.post(&path, json!({"paths": paths})).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sandbox_begins_with_a_snapshot_of_one_that_is_gone() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.exec(&id, "echo work > a").await;
    let snapshot = take(&product, &id, json!({})).await;
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(list(&product, &id).await.len(), 1, "it outlives its sandbox");

    let made = product.post("/v1/sandboxes", json!({"fromSnapshot": snapshot})).await.expect(201);
    let new = made["id"].as_str().unwrap();
    product.sandbox_is(new, "running").await;
    assert_eq!(says(&product, new, "cat a").await, "work");
    // It begins with it once: what was done since stays.
    product.exec(new, "echo newer > a").await;
    product.post(&format!("/v1/sandboxes/{new}/stop"), json!({})).await.expect(200);
    assert_eq!(says(&product, new, "cat a").await, "newer");

    for unknown in [json!("snap-1"), json!(7), json!(format!("snap-{}", "0".repeat(32)))] {
        let body = json!({"fromSnapshot": unknown});
        product.post("/v1/sandboxes", body).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_is_left_out_and_told_of_and_the_rest_comes_back() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    // The folders' own names are still short enough, the last file's is not.
    let deep = "echo work > a; n=$(printf 'd%.0s' $(seq 200)); \
                for i in $(seq 20); do mkdir $n && cd $n || exit 1; done; \
                echo 1 > short && echo 2 > $n";
    assert_eq!(product.exec(&id, deep).await["exitCode"], 0);
    let path = format!("/v1/sandboxes/{id}/snapshot");
    let taken = product.post(&path, json!({})).await.expect(200);
    let warnings = taken["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{taken}");
    assert!(warnings[0].as_str().unwrap().starts_with("1 entries are not in it"), "{taken}");
    let body = json!({"fromSnapshot": taken["snapshotId"]});
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    let new = made["id"].as_str().unwrap();
    product.sandbox_is(new, "running").await;
    let back = "cat a; find . -type f | wc -l; find . -name short -exec cat {} +";
    assert_eq!(says(&product, new, back).await, "work\n2\n1");
    let paths = json!({"paths": ["a"]});
    let taken = product.post(&path, paths).await.expect(200);
    assert!(taken.get("warnings").is_none(), "{taken}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_changes_nothing() {
    let (product, folder) = with_folder().await;
    let id = product.sandbox().await;
    product.exec(&id, "head -c 300000 /dev/urandom > a").await;
    let snapshot = take(&product, &id, json!({})).await;
    product.exec(&id, "echo newer > a").await;
    let file = folder.join(format!("{snapshot}.tar.gz"));
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let longer = [whole.as_slice(), b"x"].concat();
    for damaged in [flipped, whole[..whole.len() - 1].to_vec(), longer, Vec::new()] {
        std::fs::write(&file, damaged).unwrap();
        let refused = product.post(&restore_path(&id, &snapshot), json!({})).await;
        refused.refused(409, "INVALID_STATE");
        assert_eq!(says(&product, &id, "cat a").await, "newer");
    }
    let made = product.post("/v1/sandboxes", json!({"fromSnapshot": snapshot})).await.expect(201);
    let new = made["id"].as_str().unwrap();
    let failed = eventually("it has failed", async || {
        let sandbox = product.get(&format!("/v1/sandboxes/{new}")).await.expect(200);
        (sandbox["status"] == "failed").then_some(sandbox)
    })
    .await;
    assert!(failed["error"].as_str().unwrap().contains("damaged"), "{failed}");
    std::fs::write(&file, whole).unwrap();
    product.post(&restore_path(&id, &snapshot), json!({})).await.expect(200);
    assert_eq!(says(&product, &id, "stat -c %s a").await, "300000");
    // Whoever wants the new one tries again.
    assert_eq!(says(&product, new, "stat -c %s a").await, "300000");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_its_owner_may_not_write_to_is_replaced_all_the_same() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.exec(&id, "mkdir d && echo old > d/a").await;
    let snapshot = take(&product, &id, json!({})).await;
    product.exec(&id, "echo new > d/a && chmod 555 d").await;
    product.post(&restore_path(&id, &snapshot), json!({})).await.expect(200);
    assert_eq!(says(&product, &id, "ls -A && cat d/a").await, "d\nold");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_files_are_replaced_under_a_running_turn() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let snapshot = take(&product, &id, json!({})).await;
    product.dispatch(&id, "s1", "t1", "run: sleep 100").await.expect(202);
    let refused = product.post(&restore_path(&id, &snapshot), json!({})).await;
    refused.refused(409, "INVALID_STATE");
    product
        .post(&format!("{}/abort", product.session_path(&id, "s1")), json!({}))
        .await
        .expect(200);
    let path = restore_path(&id, &snapshot);
    eventually("the turn is over", async || {
        let answer = product.post(&path, json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_left_half_is_never_listed_and_goes() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 0).await;
    let id = first.product.sandbox().await;
    let whole = take(&first.product, &id, json!({})).await;
    first.kill();
    let half = format!("snap-{}", "0".repeat(32));
    let insert = format!(
        "INSERT INTO snapshots (id, sandbox_id, created_at, tags, paths, size, digest, place, state)
         VALUES ('{half}', '{id}', 1, '[]', '[]', 0, '', 'folder', 'making')"
    );
    sql(data.path(), &insert).await;
    let folder = data.path().join("orchestrator/snapshots");
    std::fs::write(folder.join(format!(".{half}.part")), "half").unwrap();

    let second = Process::start(data.path(), 0).await;
    let listed = list(&second.product, &id).await;
    assert_eq!((listed.len(), &listed[0]["snapshotId"]), (1, &json!(whole)));
    eventually("the half one is gone", async || (files(&folder) == 1).then_some(())).await;
    let rows = "SELECT id FROM snapshots WHERE state <> 'ready'";
    eventually("and its row", async || sql(data.path(), rows).await.is_empty().then_some(())).await;
    second.product.post(&restore_path(&id, &whole), json!({})).await.expect(200);
    assert!(second.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_bucket_configured_snapshots_are_there_and_come_back_from_there() {
    let service = S3::start().await;
    let product = with_bucket(&service, s3::BUCKET, s3::KEY_ID).await;
    let id = product.sandbox().await;
    // More than one part.
    product.exec(&id, "head -c 20000000 /dev/urandom > a && sha256sum a > ~/sum").await;
    let snapshot = take(&product, &id, json!({})).await;
    assert!(service.parts() > 1);
    assert_eq!(
        service.objects().keys().cloned().collect::<Vec<_>>(),
        [format!("{snapshot}.tar.gz")]
    );
    product.exec(&id, "echo > a").await;
    product.post(&restore_path(&id, &snapshot), json!({})).await.expect(200);
    assert_eq!(says(&product, &id, "sha256sum -c ~/sum").await, "a: OK");
    product.delete(&format!("/v1/sandboxes/{id}/snapshots/{snapshot}")).await.expect(200);
    assert!(service.objects().is_empty());
    assert_eq!(service.open_uploads(), 0);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_bucket_that_can_not_be_had_is_no_callers_fault() {
    let service = S3::start().await;
    for (bucket, key) in [("none-such", s3::KEY_ID), (s3::BUCKET, "stranger")] {
        let product = with_bucket(&service, bucket, key).await;
        let id = product.sandbox().await;
        let path = format!("/v1/sandboxes/{id}/snapshot");
        let refused = product.post(&path, json!({})).await.refused(503, "UNAVAILABLE");
        assert!(!refused.to_string().contains(s3::SECRET), "{refused}");
        product.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_in_a_sandbox_are_one_too_many() {
    let service = S3::start().await;
    let product = with_service(&service).await;
    let id = product.sandbox().await;
    let held = service.hold().await;
    let path = format!("/v1/sandboxes/{id}/runtime/snapshots");
    let body = json!({"projectId": "p", "storage": service.storage()});
    let (first, ()) = tokio::join!(product.post(&path, body.clone()), async {
        eventually("the first is on its way", async || (service.parts() > 0).then_some(())).await;
        product.post(&path, body.clone()).await.refused(409, "INVALID_STATE");
        drop(held);
    });
    first.expect(200);
    product.post(&path, body).await.expect(200);
    product.stop().await;
}
