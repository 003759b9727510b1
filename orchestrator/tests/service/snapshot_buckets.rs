//! Snapshots in buckets that callers bring.

use serde_json::{Value, json};

use crate::{
    snapshots::{list, says, take, with_service},
    support::{S3, s3},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_own_bucket_is_all_that_is_needed_elsewhere() {
    let service = S3::start().await;
    let product = with_service(&service).await;
    let id = product.sandbox().await;
    product.exec(&id, "echo 1 > a").await;
    let path = |id: &str, what: &str| format!("/v1/sandboxes/{id}/runtime/snapshots{what}");
    let body = json!({"projectId": "p", "storage": service.storage(), "tags": ["t"]});
    let none = product.post(&path(&id, "/restore"), body.clone()).await;
    none.refused(404, "NOT_FOUND");
    let taken = product.post(&path(&id, ""), body.clone()).await.expect(200)["snapshot"].clone();
    assert_eq!(taken["tags"], json!(["t"]));
    product.exec(&id, "echo 2 > a").await;
    let newer = product.post(&path(&id, ""), body.clone()).await.expect(200)["snapshot"].clone();
    assert!(service.objects().keys().all(|key| key.starts_with("team/p/snap-")));
    let listed = product.post(&path(&id, "/list"), body.clone()).await.expect(200);
    let ids: Vec<_> = listed["snapshots"].as_array().unwrap().iter().map(|s| &s["id"]).collect();
    assert_eq!(ids, [&newer["id"], &taken["id"]]);

    let other = product.sandbox().await;
    product.post(&path(&other, "/restore"), body).await.expect(200);
    assert_eq!(says(&product, &other, "cat a").await, "2", "the newest one");
    let from = json!({"fromSnapshot": taken["id"], "storage": service.storage()});
    let made = product.post("/v1/sandboxes", from).await.expect(201);
    assert!(!made.to_string().contains(s3::SECRET));
    let made = made["id"].as_str().unwrap();
    product.sandbox_is(made, "running").await;
    assert_eq!(says(&product, made, "cat a").await, "1");
    // A sandbox that was made with a bucket keeps its snapshots there.
    take(&product, made, json!({})).await;
    assert_eq!(list(&product, made).await.len(), 1);
    assert!(service.objects().keys().any(|key| key.starts_with(&format!("team/{made}/"))));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_bucket_harms_nobody() {
    let service = S3::start().await;
    let product = with_service(&service).await;
    let id = product.sandbox().await;
    product.exec(&id, "echo 1 > a").await;
    let path = |what: &str| format!("/v1/sandboxes/{id}/runtime/snapshots{what}");
    let body = json!({"projectId": "p", "storage": service.storage()});
    product.post(&path(""), body.clone()).await.expect(200);
    product.exec(&id, "echo 2 > a").await;
    let key = service.objects().keys().find(|key| key.ends_with(".json")).unwrap().clone();
    let manifest: Value = serde_json::from_slice(&service.objects()[&key]).unwrap();
    for (field, value, status, code) in [
        ("size", json!(1), 409, "INVALID_STATE"),
        ("size", json!(u64::MAX), 409, "INVALID_STATE"),
        ("sha256", json!("0".repeat(64)), 409, "INVALID_STATE"),
        // It tells of no snapshot then.
        ("size", json!(-1), 404, "NOT_FOUND"),
        ("id", json!("../../x"), 404, "NOT_FOUND"),
        ("paths", json!(["/etc"]), 404, "NOT_FOUND"),
        ("tags", json!(["\u{1b}[2J"]), 404, "NOT_FOUND"),
    ] {
        let mut hostile = manifest.clone();
        hostile[field] = value;
        service.objects().insert(key.clone(), hostile.to_string().into());
        product.post(&path("/restore"), body.clone()).await.refused(status, code);
        assert_eq!(says(&product, &id, "cat a").await, "2", "{hostile}");
    }
    service.objects().insert(key, "{".into());
    let listed = product.post(&path("/list"), body.clone()).await.expect(200);
    assert_eq!(listed["snapshots"], json!([]));

    let storage = |field: &str, value: Value| {
        let mut body = body.clone();
        body["storage"][field] = value;
        body
    };
    for wrong in [
        storage("endpoint", json!("http://127.0.0.1:1")),
        storage("endpoint", json!("https://169.254.169.254")),
        storage("bucket", json!("../..")),
        storage("prefix", json!("a/../..")),
        json!({"projectId": "../x", "storage": service.storage()}),
    ] {
        product.post(&path(""), wrong).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_bucket_that_is_not_there_or_not_theirs_is_the_callers_to_mend() {
    let service = S3::start().await;
    let product = with_service(&service).await;
    let id = product.sandbox().await;
    let stranger = json!({"accessKeyId": "stranger", "secretAccessKey": s3::SECRET});
    for (field, value) in [("bucket", json!("none-such")), ("credentials", stranger)] {
        let mut body = json!({"projectId": "p", "storage": service.storage()});
        body["storage"][field] = value;
        let one = format!("snap-{}", "0".repeat(32));
        let mut named = body.clone();
        named["snapshotId"] = json!(one);
        for (what, body) in
            [("", &body), ("/list", &body), ("/restore", &body), ("/restore", &named)]
        {
            let path = format!("/v1/sandboxes/{id}/runtime/snapshots{what}");
            let refused = product.post(&path, body.clone()).await.refused(400, "VALIDATION_ERROR");
            let place = format!("storage.{field}");
            assert!(refused["fields"][&place].is_string(), "{what}: {refused}");
            assert!(refused["message"].as_str().unwrap().starts_with(&place), "{what}: {refused}");
            let told = refused.to_string();
            assert!(!told.contains(s3::SECRET) && !told.contains("stranger"), "{what}: {told}");
        }
    }
    assert!(service.objects().is_empty());
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_snapshots_have_a_folder_of_their_own_unless_another_is_named() {
    let service = S3::start().await;
    let product = with_service(&service).await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/snapshots");
    let mut body = json!({"projectId": "p", "storage": service.storage()});
    for (prefix, start) in [
        (Value::Null, "sandbox-snapshots/p/snap-"),
        (json!(""), "p/snap-"),
        (json!("a/"), "a/p/snap-"),
    ] {
        body["storage"]["prefix"] = prefix;
        product.post(&path, body.clone()).await.expect(200);
        let mut objects = service.objects();
        assert_eq!(objects.len(), 2, "{start}");
        assert!(objects.keys().all(|key| key.starts_with(start)), "{:?}", objects.keys());
        objects.clear();
    }
    body["storage"].as_object_mut().unwrap().remove("prefix");
    product.post(&path, body.clone()).await.expect(200);
    assert!(service.objects().keys().all(|key| key.starts_with("sandbox-snapshots/p/snap-")));
    // Whoever names the folder that is the default finds what is in it.
    body["storage"]["prefix"] = json!("sandbox-snapshots/");
    let listed = product.post(&format!("{path}/list"), body).await.expect(200);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_sends_elsewhere_is_not_followed() {
    let (service, inner) = (S3::start().await, S3::start().await);
    let product = with_service(&service).await;
    let id = product.sandbox().await;
    service.send_to(&inner);
    let path = format!("/v1/sandboxes/{id}/runtime/snapshots");
    let body = json!({"projectId": "p", "storage": service.storage()});
    product.post(&path, body.clone()).await.refused(503, "UNAVAILABLE");
    product.post(&format!("{path}/list"), body).await.refused(503, "UNAVAILABLE");
    assert!(service.asked() > 0);
    assert_eq!(inner.asked(), 0);
    product.stop().await;
}
