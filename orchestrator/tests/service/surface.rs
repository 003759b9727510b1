//! What is answered in one way on every machine, what is refused, and what ends with its client.

use reqwest::Method;
use serde_json::json;

use crate::support::{Product, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_here_is_refused_by_name_and_with_a_reason() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let sandbox = format!("/v1/sandboxes/{id}");
    let runtime = format!("{sandbox}/runtime");
    for (method, path, feature) in [
        (Method::POST, format!("{sandbox}/checkpoints"), "checkpoints"),
        (Method::DELETE, format!("{sandbox}/checkpoints/c1"), "checkpoints"),
        (Method::POST, format!("{sandbox}/fork"), "fork"),
        (Method::GET, format!("{sandbox}/trace"), "traces"),
        (Method::POST, format!("{sandbox}/exportTrace"), "traces"),
        (Method::POST, "/v1/images".to_owned(), "images"),
        (Method::GET, "/v1/images/i1".to_owned(), "images"),
        (Method::POST, "/v1/fleets".to_owned(), "fleets"),
        (Method::GET, "/v1/fleets/f1/usage".to_owned(), "fleets"),
        (Method::POST, "/v1/intelligence/reports".to_owned(), "intelligence"),
        (Method::GET, "/v1/intelligence/reports/r1".to_owned(), "intelligence"),
        (Method::POST, format!("{runtime}/permissions/users"), "users"),
        (Method::PATCH, format!("{runtime}/permissions/users/u1"), "users"),
        (Method::DELETE, format!("{runtime}/permissions/users/u1"), "users"),
        (Method::PUT, format!("{runtime}/permissions/users/u1/policies"), "users"),
        (Method::POST, format!("{runtime}/permissions/users/u1/check"), "users"),
        (Method::GET, format!("{runtime}/backend/account"), "backend account"),
        (Method::GET, format!("{runtime}/backend/models"), "backend account"),
        (Method::GET, format!("{runtime}/backend/repositories"), "backend account"),
        (Method::GET, format!("{runtime}/backend/agents/a1/runs"), "backend account"),
        (Method::GET, format!("{runtime}/backend/runs/r1"), "backend account"),
        (Method::GET, format!("{runtime}/backend/artifacts/s1"), "backend account"),
    ] {
        let answer = product.send(product.request(method, &path).json(&json!({}))).await;
        let refused = answer.refused(501, "NOT_IMPLEMENTED");
        assert_eq!(refused["feature"], feature, "{path}");
        assert_eq!(refused["reason"], refused["message"], "{path}");
        let open = product.http.post(format!("{}{path}", product.base)).send().await.unwrap();
        assert!(matches!(open.status().as_u16(), 401 | 405), "{path} tells without the key");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_in_a_sandbox_is_named_by_kind_and_id() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    for (path, kind, name) in [
        ("fs/stat/workspace/none.txt", "file", "/workspace/none.txt"),
        ("fs/download/workspace/none.txt", "file", "/workspace/none.txt"),
        ("fs/stat/workspace/none/x.txt", "file", "/workspace/none/x.txt"),
        ("fs/list/tmp/none/deep/x", "file", "/tmp/none/deep/x"),
        ("fs/download-dir/workspace/none/x", "file", "/workspace/none/x"),
        ("process/999999", "process", "999999"),
        ("terminals/none", "terminal", "none"),
    ] {
        let missing = product.get(&format!("{runtime}/{path}")).await.refused(404, "NOT_FOUND");
        assert_eq!(
            (&missing["resourceType"], &missing["resourceId"]),
            (&json!(kind), &json!(name))
        );
    }
    let asked = json!({"path": "none/./x.txt"});
    let read = product.post(&format!("{runtime}/files/read"), asked).await;
    let removed = product.delete(&format!("{runtime}/fs/workspace/none/x.txt")).await;
    for answer in [read, removed] {
        let missing = answer.refused(404, "NOT_FOUND");
        assert_eq!(missing["resourceId"], "/workspace/none/x.txt");
        assert!(missing["message"].as_str().unwrap().starts_with("/workspace/none/x.txt:"));
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_nobody_reads_are_told_and_the_rest_is_done() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    let told = json!(["flavour is not known here and was passed over"]);
    for (path, mut body, inner) in [
        ("/v1/secrets", json!({"name": "A_SECRET", "value": "v"}), false),
        ("/v1/sessions", json!({"projectId": id}), false),
        ("/files/write", json!({"path": "a", "content": "b"}), true),
        ("/process/spawn", json!({"command": "true"}), true),
        ("/process/run-code", json!({"code": "true", "language": "bash"}), true),
        ("/terminals", json!({"command": "true"}), false),
    ] {
        let path = if path.starts_with("/v1") { path.to_owned() } else { runtime.clone() + path };
        body["flavour"] = json!("sweet");
        let answer = product.post(&path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        let place = if inner { &answer.body["data"] } else { &answer.body };
        assert_eq!(place["warnings"], told, "{path}: {}", answer.body);
    }
    let taking = format!("/v1/sandboxes/{id}/snapshot");
    let snapshot = product.post(&taking, json!({"flavour": 1})).await.expect(200);
    assert!(snapshot["warnings"].as_array().unwrap().contains(&told[0]), "{snapshot}");
    let mapping = json!({"userId": "me", "sandboxId": id, "flavour": "sweet"});
    let request = product.request(Method::PUT, "/v1/session/s1/mapping").json(&mapping);
    assert_eq!(product.send(request).await.expect(200)["warnings"], told);
    let session = json!({"config": {"image": "node:22"}, "flavour": "sweet"});
    let made = product.post("/v1/sessions", session).await.expect(201);
    assert_eq!(made["warnings"][0], told[0]);
    assert!(made["warnings"][1].as_str().unwrap().contains("image"), "{made}");
    let plain = product.post("/v1/sessions", json!({"projectId": id})).await.expect(201);
    assert_eq!(plain.get("warnings"), None);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_one_answer_on_every_machine_is_answered() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let criu = product.get("/v1/system/criu-status").await.expect(200);
    assert_eq!(criu["available"], false);
    assert!(criu["reason"].is_string());
    let checkpoints = product.get(&format!("/v1/sandboxes/{id}/checkpoints")).await.expect(200);
    assert_eq!(checkpoints, json!({"checkpoints": []}));
    let users = format!("/v1/sandboxes/{id}/runtime/permissions/users");
    let users = product.get(&users).await.expect(200);
    assert_eq!(
        (&users["users"][0]["userId"], &users["users"][0]["role"]),
        (&json!("agent"), &json!("owner"))
    );
    for path in ["checkpoints", "runtime/permissions/users"] {
        let path = format!("/v1/sandboxes/sandbox-none/{path}");
        product.get(&path).await.refused(404, "NOT_FOUND");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_wakes_no_sandbox() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}");
    product.post(&format!("{path}/stop"), json!({})).await.expect(200);
    let request = product.request(Method::POST, &format!("{path}/runtime/files/read"));
    let answer = product.send(request.body(vec![b' '; 300 * 1024])).await;
    answer.refused(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(product.get(&path).await.expect(200)["status"], "stopped");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_ends_what_it_started_inside() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands");
    let command = json!({"command": "touch started; sleep 98768", "timeout": 3_000_000});
    let started = async {
        eventually("it has started", async || {
            (product.exec(&id, "cat started").await["exitCode"] == 0).then_some(())
        })
        .await;
    };
    tokio::select! {
        answer = product.post(&path, command) => panic!("it ended: {answer:?}"),
        () = started => {}
    }
    eventually("it is gone", async || {
        let listed = product.exec(&id, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
        let listed = listed["stdout"].as_str().unwrap().to_owned();
        // The one that looks names no number that it looks for.
        (!listed.contains("98768")).then_some(())
    })
    .await;
    product.stop().await;
}
