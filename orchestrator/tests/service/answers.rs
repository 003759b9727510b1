//! What every answer has around its body, and what single fields of clients count on.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{PATIENCE, Product, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "run: true").await.expect(202);
    let session = product.session_path(&id, "s1");
    let nowhere = "/v1/sandboxes/sandbox-none";
    for (path, kind, name) in [
        (nowhere.to_owned(), "sandbox", "sandbox-none"),
        (format!("{nowhere}/driver"), "sandbox", "sandbox-none"),
        (format!("{nowhere}/runtime/health"), "sandbox", "sandbox-none"),
        ("/projects/sandbox-none".to_owned(), "sandbox", "sandbox-none"),
        ("/v1/secrets/NONE".to_owned(), "secret", "NONE"),
        (product.session_path(&id, "none"), "session", "none"),
        (format!("{session}/turns/none"), "turn", "none"),
        (format!("{session}/events?executionId=none"), "execution", "none"),
        ("/v1/sessions/none".to_owned(), "session", "none"),
        (format!("/v1/sandboxes/{id}/runtime/permissions/users/bob/policies"), "user", "bob"),
        ("/none/such".to_owned(), "route", "/none/such"),
    ] {
        let refused = product.get(&path).await.refused(404, "NOT_FOUND");
        let told = (&refused["resourceType"], &refused["resourceId"]);
        assert_eq!(told, (&json!(kind), &json!(name)), "{path}");
    }
    let snapshot = product.delete(&format!("/v1/sandboxes/{id}/snapshots/none")).await;
    assert_eq!(snapshot.refused(404, "NOT_FOUND")["resourceId"], "none");
    let restore = format!("/v1/sandboxes/{id}/runtime/snapshots/restore");
    let snapshot = product.post(&restore, json!({"snapshotId": "none"})).await;
    assert_eq!(snapshot.refused(404, "NOT_FOUND")["resourceId"], "none");
    let answer = json!({"id": "none", "outcome": "declined"});
    let missing = product.post(&format!("{session}/interactions"), answer).await;
    let missing = missing.refused(404, "NOT_FOUND");
    assert_eq!(
        (&missing["resourceType"], &missing["resourceId"]),
        (&json!("interaction"), &json!("none"))
    );
    for answer in [
        product.delete(nowhere).await,
        product.post(&format!("{nowhere}/stop"), json!({})).await,
        product.post(&format!("{nowhere}/resume"), json!({})).await,
    ] {
        assert_eq!(answer.refused(404, "NOT_FOUND")["resourceId"], "sandbox-none");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_kept_on_its_way_or_taken_for_something_else() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.exec(&id, "echo hello > page.html").await;
    for (path, status) in [
        (format!("/v1/sandboxes/{id}"), 200),
        ("/v1/sandboxes".to_owned(), 200),
        ("/health".to_owned(), 200),
        (format!("/v1/sandboxes/{id}/runtime/fs/download/workspace/page.html"), 200),
        ("/v1/sandboxes/none".to_owned(), 404),
        ("/nowhere".to_owned(), 404),
    ] {
        let answer = product.get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert!(!answer.headers.contains_key("server"), "{path}");
    }
    let stranger = product.http.get(format!("{}/v1/sandboxes", product.base));
    assert_eq!(product.send(stranger).await.headers["cache-control"], "no-store");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_types_are_answered_as_http_has_it() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let sandbox = format!("/v1/sandboxes/{id}");
    for path in [sandbox.as_str(), "/v1/sandboxes", "/health"] {
        let head = product.send(product.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.body), (StatusCode::OK, json!("")), "{path}");
    }
    product.exec(&id, "echo hello > file").await;
    let file = format!("{sandbox}/runtime/fs/download/workspace/file");
    let head = product.send(product.request(Method::HEAD, &file)).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers["content-length"], "6");
    for (method, path, allowed) in [
        (Method::OPTIONS, sandbox.clone(), "DELETE"),
        (Method::PUT, sandbox.clone(), "PATCH"),
        (Method::GET, format!("{sandbox}/runtime/files/read"), "POST"),
        (Method::POST, "/openapi.json".to_owned(), "GET"),
    ] {
        let answer = product.send(product.request(method, &path)).await;
        let allow = answer.headers["allow"].to_str().unwrap().to_owned();
        assert!(allow.contains(allowed), "{path}: {allow}");
        answer.refused(405, "METHOD_NOT_ALLOWED");
    }
    for path in ["/v1/sandboxes".to_owned(), format!("{sandbox}/runtime/files/read")] {
        let post = |kind: &str, body: Vec<u8>| {
            product.request(Method::POST, &path).header("content-type", kind).body(body)
        };
        let form = post("application/x-www-form-urlencoded", b"path=a".to_vec());
        product.send(form).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        // Nothing is unpacked here, so that nothing small becomes large.
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(" ".repeat(4 << 20).as_bytes()).unwrap();
        let packed = post("application/json", packed.finish().unwrap());
        let packed = packed.header("content-encoding", "gzip");
        product.send(packed).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idempotency_key_of_a_project_may_stand_in_the_header() {
    let product = Product::start().await;
    let make = async |body: Value| {
        let request = product.request(Method::POST, "/projects").header("idempotency-key", "k1");
        product.send(request.json(&body)).await
    };
    let made = make(json!({"container": {}})).await.expect(201);
    let again = make(json!({"container": {}})).await.expect(200);
    assert_eq!(made["project"]["projectRef"], again["project"]["projectRef"]);
    let outcomes = (&made["project"]["outcome"], &again["project"]["outcome"]);
    assert_eq!(outcomes, (&json!("created"), &json!("idempotent_replay")));
    assert_eq!(again["project"]["warnings"], Value::Null);
    let other = make(json!({"container": {}, "projectRef": "another"})).await.expect(200);
    assert_eq!(other["project"]["projectRef"], made["project"]["projectRef"]);
    let warning = other["project"]["warnings"][0].as_str().unwrap();
    assert!(warning.ends_with(": projectRef"), "{warning}");
    make(json!({"container": {}, "idempotencyKey": "k2"})).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 1);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sessions_events_can_be_those_of_one_execution() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = product.session_path(&id, "s1");
    for turn in ["t1", "t2"] {
        product.dispatch(&id, "s1", turn, &format!("run: echo {turn}")).await.expect(202);
        product.record(&id, "s1", turn).await;
    }
    product.dispatch(&id, "s2", "t3", "run: true").await.expect(202);
    let log = product.log(&id, "s1").await;
    let second = log.iter().rposition(|(_, kind, _)| kind == "execution.started").unwrap();
    let all: Vec<_> = log.iter().map(|(_, kind, _)| kind.as_str()).collect();
    for (query, expected) in [
        ("executionId=t1", &all[..second]),
        ("executionId=t2", &all[second..]),
        ("executionId=t2&since=1", &all[second..]),
        ("executionId=t1&lastEventId=2", &all[2..second]),
    ] {
        let request = product.request(Method::GET, &format!("{path}/events?{query}"));
        let told = timeout(PATIENCE, product.send(request)).await.expect("it does not end");
        let lines = told.body.as_str().unwrap().lines();
        let kinds = lines.filter_map(|line| line.strip_prefix("event: "));
        let kinds: Vec<_> = kinds.filter(|kind| *kind != "heartbeat").collect();
        assert_eq!(kinds, expected, "{query}");
    }
    let other = product.get(&format!("{path}/events?executionId=t3")).await;
    other.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_tells_when_it_said_something_last_and_how_that_ended() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let sessions = format!("/v1/sandboxes/{id}/runtime/agents/sessions");
    let new = product.post(&sessions, json!({"sessionId": "s1"})).await.expect(201);
    assert_eq!((&new["lastEventAt"], &new["terminalReason"]), (&Value::Null, &Value::Null));
    let path = product.session_path(&id, "s1");
    product.dispatch(&id, "s1", "t1", "run: true").await.expect(202);
    let first = idle(&product, &path).await;
    assert_eq!(first["terminalReason"], "completed");
    assert!(first["lastEventAt"].as_str().unwrap().ends_with('Z'), "{first}");
    product.dispatch(&id, "s1", "t2", "run: sleep 600").await.expect(202);
    let running = product.get(&path).await.expect(200);
    assert_eq!((&running["state"], &running["terminalReason"]), (&json!("running"), &Value::Null));
    product.post(&format!("{path}/abort"), json!({})).await.expect(200);
    let last = idle(&product, &format!("{path}/status")).await;
    assert_eq!(last["terminalReason"], "aborted");
    product.stop().await;
}

/// A session once nothing runs in it.
async fn idle(product: &Product, path: &str) -> Value {
    eventually("nothing runs", async || {
        let session = product.get(path).await.expect(200);
        (session["state"] == "idle").then_some(session)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxs_events_go_on_after_the_number_in_the_header() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/events");
    let all = product.events(product.request(Method::GET, &path), 2).await;
    let after = product.request(Method::GET, &path).header("last-event-id", all[0].0.to_string());
    assert_eq!(product.events(after, 1).await, all[1..]);
    let after = product.request(Method::GET, &format!("{path}?lastEventId={}", all[0].0));
    assert_eq!(product.events(after, 1).await, all[1..]);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_reaches_everything_is_warned_of() {
    let product = Product::start().await;
    let warnings = async |network: Value| {
        let made = product.post("/v1/sandboxes", json!({"network": network})).await.expect(201);
        let path = format!("/v1/sandboxes/{}/driver", made["id"].as_str().unwrap());
        product.get(&path).await.expect(200)["warnings"].to_string()
    };
    let (open, closed) =
        (warnings(json!({"blockOutbound": false})).await, warnings(Value::Null).await);
    assert!(open.contains("reaches every public address"), "{open}");
    assert!(!closed.contains("reaches every public address"), "{closed}");
    assert!(closed.contains("share the kernel"), "{closed}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_driver_without_isolation_can_be_asked_for() {
    let product = Product::start().await;
    for driver in [json!("process"), json!({"type": "process"}), json!({"type": "none"})] {
        let body = json!({"driver": driver});
        product.post("/v1/sandboxes", body.clone()).await.refused(403, "FORBIDDEN");
        product.post("/projects", json!({"config": body})).await.refused(403, "FORBIDDEN");
    }
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_shown_to_every_kind_of_reader() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let terminals = format!("/v1/sandboxes/{id}/runtime/terminals");
    let opened = product.post(&terminals, json!({})).await.expect(200);
    let terminal = opened["data"]["sessionId"].as_str().unwrap();
    assert_eq!(opened["sessionId"], terminal, "enveloped and flat");
    let gone = product.delete(&format!("{terminals}/{terminal}")).await.expect(200);
    for told in [&gone, &gone["data"]] {
        assert_eq!(told["deleted"], true, "{gone}");
        assert_eq!((&told["sessionId"], &told["session_id"]), (&json!(terminal), &json!(terminal)));
    }
    product.get(&format!("{terminals}/{terminal}")).await.refused(404, "NOT_FOUND");
    product.stop().await;
}
