//! The life of sandboxes, and what can be done in them.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use crate::support::{Product, eventually, sql};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_made_used_stopped_resumed_on_demand_and_deleted() {
    let product = Product::start().await;
    let made = product.post("/v1/sandboxes", json!({"name": "mine", "metadata": {"a": 1}})).await;
    let made = made.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(
        id.strip_prefix("sandbox-")
            .is_some_and(|hex| { hex.len() == 12 && hex.chars().all(|c| c.is_ascii_hexdigit()) })
    );
    let running = product.sandbox_is(&id, "running").await;
    assert_eq!((&running["name"], &running["metadata"]), (&json!("mine"), &json!({"a": 1})));
    assert!(running["createdAt"].as_str().unwrap().ends_with('Z'));

    let result = product.exec(&id, "echo kept > file; cat file; echo oops >&2; exit 3").await;
    assert_eq!(
        (&result["stdout"], &result["stderr"], &result["exitCode"]),
        (&json!("kept\n"), &json!("oops\n"), &json!(3))
    );
    let path = format!("/v1/sandboxes/{id}");
    assert_eq!(
        product.post(&format!("{path}/stop"), json!({})).await.expect(200)["status"],
        "stopped"
    );
    assert_eq!(product.exec(&id, "cat file").await["stdout"], "kept\n", "resumed, files kept");
    assert_eq!(product.get(&path).await.expect(200)["status"], "running");
    assert_eq!(product.delete(&path).await.expect(200), json!({"success": true}));
    product.get(&path).await.refused(404, "NOT_FOUND");
    product.delete(&path).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_in_and_out_as_text_and_as_bytes() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let files = format!("/v1/sandboxes/{id}/runtime/files");
    let write = json!({"path": "a/b.txt", "content": "grüß\n"});
    let written = product.post(&format!("{files}/write"), write).await.expect(200);
    assert_eq!(written["data"]["size"], json!(7));
    assert_eq!(product.exec(&id, "cat a/b.txt").await["stdout"], "grüß\n");
    let bytes = json!({"path": "raw", "content": "AP/+", "encoding": "base64"});
    product.post(&format!("{files}/write"), bytes).await.expect(200);
    let read = json!({"path": "/workspace/raw", "encoding": "base64"});
    let read = product.post(&format!("{files}/read"), read).await.expect(200);
    assert_eq!(read["data"]["content"], "AP/+");
    product.post(&format!("{files}/read"), json!({"path": "none"})).await.refused(404, "NOT_FOUND");
    let outside = product.post(&format!("{files}/read"), json!({"path": "../../etc/passwd"})).await;
    assert!(outside.status.is_client_error(), "{outside:?}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_is_the_same_sandbox_also_at_the_same_moment() {
    let product = Product::start().await;
    let body = json!({"idempotencyKey": "chat-1"});
    let all = (0..8).map(|_| product.post("/v1/sandboxes", body.clone()));
    let answers = futures::future::join_all(all).await;
    let new = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(new, 1);
    let first = &answers[0].body["id"];
    assert!(answers.iter().all(|answer| &answer.body["id"] == first));
    let listed = product.get("/v1/sandboxes").await.expect(200);
    assert_eq!(listed["sandboxes"].as_array().unwrap().len(), 1);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_sandboxes_by_another_name() {
    let product = Product::start().await;
    let body = json!({"projectRef": "sandbox-0123456789ab", "container": {"image": "node:22"}});
    let made = product.post("/projects", body.clone()).await.expect(201);
    assert_eq!(made["project"]["projectRef"], "sandbox-0123456789ab");
    product.post("/projects", body).await.expect(200);
    product.sandbox_is("sandbox-0123456789ab", "running").await;
    let found = product.get("/projects/sandbox-0123456789ab").await.expect(200);
    assert_eq!(found["project"]["status"], "running");
    let sandbox = product.get("/v1/sandboxes/sandbox-0123456789ab").await.expect(200);
    assert!(sandbox["warnings"][0].as_str().unwrap().contains("image"));
    product.delete("/projects/sandbox-0123456789ab").await.expect(200);
    product.get("/projects/sandbox-0123456789ab").await.refused(404, "NOT_FOUND");
    for bad in ["../evil", "", "-x", "UPPER", "a/b"] {
        let body = json!({"projectRef": bad, "container": {}});
        product.post("/projects", body).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_filtered_and_paged() {
    let product = Product::start().await;
    let (first, second) = (product.sandbox().await, product.sandbox().await);
    product.post(&format!("/v1/sandboxes/{first}/stop"), json!({})).await.expect(200);
    let ids = async |query: &str| {
        let listed = product.get(&format!("/v1/sandboxes{query}")).await.expect(200);
        let listed = listed["sandboxes"].as_array().unwrap().clone();
        listed.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, [second.clone(), first.clone()], "the newest first");
    assert_eq!(ids("?status=stopped").await, std::slice::from_ref(&first));
    assert_eq!(ids("?status=stopped&status=running").await.len(), 2);
    assert_eq!(ids("?status=%73topped").await, std::slice::from_ref(&first));
    assert_eq!(ids("?limit=1&offset=1").await, [first]);
    assert_eq!(product.get("/v1/sandboxes?limit=1").await.expect(200)["total"], 2);
    product.get("/v1/sandboxes?limit=-1").await.refused(400, "VALIDATION_ERROR");
    let odd = product.get("/v1/sandboxes?status=running&status=foo").await;
    let refused = odd.refused(400, "VALIDATION_ERROR").to_string();
    assert!(refused.contains("foo") && refused.contains("provisioning"), "{refused}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_has_a_surface_of_its_own_that_only_its_token_opens() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    let sandbox = product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
    let url = sandbox["connection"]["sidecarUrl"].as_str().unwrap().to_owned();
    let token = sandbox["connection"]["authToken"].as_str().unwrap().to_owned();
    let exec = async |url: &str, token: &str| {
        let request = product.http.post(format!("{url}/terminals/commands")).bearer_auth(token);
        product.send(request.json(&json!({"command": "echo hi"}))).await
    };
    assert_eq!(exec(&url, &token).await.expect(200)["result"]["stdout"], "hi\n");
    let other_url = url.replace(&id, &other);
    exec(&other_url, &token).await.refused(401, "AUTH_ERROR");
    exec(&url, "").await.refused(401, "AUTH_ERROR");
    let key = secrecy::ExposeSecret::expose_secret(&product.secrets.api_key);
    exec(&url, key).await.refused(401, "AUTH_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_sandbox_is_stopped_and_one_at_work_is_not() {
    let product = Product::start_with(|config| {
        config.tuning.idle_check = std::time::Duration::from_millis(50);
    })
    .await;
    let made = product.post("/v1/sandboxes", json!({"idleTimeoutSeconds": 1})).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let result = product.exec(&id, "sleep 3; echo done").await;
    assert_eq!(result["stdout"], "done\n");
    product.sandbox_is(&id, "stopped").await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_places_are_taken_the_one_that_was_idle_longest_makes_room() {
    let product = Product::start_with(|config| config.max_running = 2).await;
    let first = product.sandbox().await;
    let second = product.sandbox().await;
    product.exec(&first, "true").await;
    let third = product.sandbox().await;
    product.sandbox_is(&second, "stopped").await;
    product.sandbox_is(&first, "running").await;
    // Two at work: no place is left for another.
    let wait = "touch busy; until [ -e done ]; do sleep 0.05; done";
    let busy = [&first, &third].map(|id| product.exec(id, wait));
    let crowded = async {
        for id in [&first, &third] {
            let read = format!("/v1/sandboxes/{id}/runtime/files/read");
            eventually("both are at work", async || {
                let answer = product.post(&read, json!({"path": "busy"})).await;
                (answer.status == 200).then_some(())
            })
            .await;
        }
        let path = format!("/v1/sandboxes/{second}/runtime/terminals/commands");
        let refused =
            product.post(&path, json!({"command": "true"})).await.refused(429, "QUOTA_EXCEEDED");
        for id in [&first, &third] {
            let write = format!("/v1/sandboxes/{id}/runtime/files/write");
            product.post(&write, json!({"path": "done", "content": ""})).await.expect(200);
        }
        refused
    };
    let (_, refused) = futures::future::join(futures::future::join_all(busy), crowded).await;
    let counted = (&refused["quotaType"], &refused["current"], &refused["limit"]);
    assert_eq!(counted, (&json!("concurrent_sandboxes"), &json!(2), &json!(2)));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_says_how_sandboxes_are_isolated() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let driver = product.get(&format!("/v1/sandboxes/{id}/driver")).await.expect(200);
    assert_eq!((&driver["type"], &driver["available"]), (&json!("host-agent"), &json!(true)));
    assert_eq!(
        (&driver["kind"], &driver["isolation"]),
        (&json!("bubblewrap"), &json!("namespaces"))
    );
    let enforcers = driver["limits"].as_object().unwrap();
    for limit in ["memory", "processes", "cpu", "disk", "fileSize", "openFiles", "output", "time"] {
        assert!(enforcers[limit].is_string(), "{limit}: {driver}");
    }
    let shared = |words: &serde_json::Value| words.as_str().unwrap().contains("share the kernel");
    assert!(driver["warnings"].as_array().unwrap().iter().any(shared), "{driver}");
    let capacity = &driver["capacity"];
    let (available, total) = (capacity["available"].as_u64(), capacity["total"].as_u64());
    assert_eq!((available, total), (Some(31), Some(32)), "one runs");
    product.get("/v1/sandboxes/nobody/driver").await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_for_which_there_is_no_room_is_not_lost() {
    let product = Product::start_with(|config| config.max_running = 1).await;
    let kept = product.sandbox().await;
    product.exec(&kept, "echo kept > file").await;
    let busy = product.sandbox().await;
    product.sandbox_is(&kept, "stopped").await;
    let path = |id: &str, call: &str| format!("/v1/sandboxes/{id}/runtime/{call}");
    let work = product.exec(&busy, "touch busy; while [ -e busy ]; do sleep 0.1; done");
    let others = async {
        eventually("the one place is taken", async || {
            let read = product.post(&path(&busy, "files/read"), json!({"path": "busy"})).await;
            (read.status == 200).then_some(())
        })
        .await;
        let command = json!({"command": "true"});
        let refused = product.post(&path(&kept, "terminals/commands"), command).await;
        refused.refused(429, "QUOTA_EXCEEDED");
        product.sandbox_is(&kept, "stopped").await;
        // Also one that never ran is only waiting.
        let new = product.post("/v1/sandboxes", json!({})).await.expect(201);
        let new = new["id"].as_str().unwrap().to_owned();
        let stopped = product.sandbox_is(&new, "stopped").await;
        assert!(stopped["error"].as_str().unwrap().contains("no more than 1"), "{stopped}");
        product.dispatch(&new, "s1", "t1", "run: true").await.expect(202);
        let record = product.record(&new, "s1", "t1").await;
        assert_eq!(record["error"]["code"], "SANDBOX_UNAVAILABLE");
        // A second command of the same sandbox needs no second place.
        product.exec(&busy, "rm busy").await;
        new
    };
    let (_, new) = futures::future::join(work, others).await;
    assert_eq!(product.exec(&kept, "cat file").await["stdout"], "kept\n");
    product.dispatch(&new, "s1", "t2", "run: true").await.expect(202);
    assert_eq!(product.record(&new, "s1", "t2").await["state"], "completed");
    assert_eq!(product.get(&format!("/v1/sandboxes/{new}")).await.expect(200)["status"], "running");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_no_key_that_can_not_be_used() {
    let product = Product::start().await;
    let body = |number: u64| json!({"idempotencyKey": format!("chat-{number}")});
    for number in 0..8 {
        let request = product.post("/v1/sandboxes", body(number));
        drop(tokio::time::timeout(Duration::from_micros(number * 400), request).await);
    }
    for number in 0..8 {
        let answer = product.post("/v1/sandboxes", body(number)).await;
        assert!(answer.status.is_success(), "{number}: {answer:?}");
        let id = answer.body["id"].as_str().unwrap();
        eventually("it was started", async || {
            let sandbox = product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
            (sandbox["status"] != "provisioning").then_some(())
        })
        .await;
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_sandboxes_are_made_than_may_exist_also_at_the_same_moment() {
    let product = Product::start_with(|config| config.max_sandboxes = 3).await;
    let all = (0..10).map(|_| product.post("/v1/sandboxes", json!({})));
    let answers = futures::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 7);
    product.stop().await;
}

async fn keep_rows(data: &Path, event: &str, condition: &str) {
    let trigger = format!(
        "CREATE TRIGGER keep BEFORE {event} ON sandboxes {condition}
         BEGIN SELECT RAISE(ABORT, 'kept'); END"
    );
    sql(data, &trigger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_failed_can_be_asked_for_again() {
    let data = tempfile::tempdir().unwrap();
    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    let body = json!({"projectRef": "again", "container": {}});
    product.post("/projects", body.clone()).await.expect(201);
    product.sandbox_is("again", "running").await;
    product.exec("again", "echo old > file").await;
    let path = "/v1/sandboxes/again";

    // What could not be written down has not happened.
    keep_rows(data.path(), "UPDATE", "WHEN NEW.status = 'deleted'").await;
    product.delete(path).await.refused(500, "SERVER_ERROR");
    assert_eq!(product.get(path).await.expect(200)["status"], "running");
    sql(data.path(), "DROP TRIGGER keep").await;

    // What was begun is gone for everyone, and goes on when it is asked for again.
    keep_rows(data.path(), "DELETE", "").await;
    product.delete(path).await.refused(500, "SERVER_ERROR");
    product.get(path).await.refused(404, "NOT_FOUND");
    product.post("/projects", body.clone()).await.refused(409, "INVALID_STATE");
    sql(data.path(), "DROP TRIGGER keep").await;
    product.delete(path).await.expect(200);
    product.delete(path).await.refused(404, "NOT_FOUND");

    product.post("/projects", body).await.expect(201);
    product.sandbox_is("again", "running").await;
    assert_eq!(product.exec("again", "ls").await["stdout"], "", "nothing of the old one");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_come_while_their_sandbox_is_deleted_are_told() {
    let product = Product::start_with(|config| {
        config.tuning.unknown_session_grace = Duration::from_millis(300);
    })
    .await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    // So that it takes a while.
    product.exec(&id, "seq 30000 | xargs touch").await;
    let deleted = AtomicBool::new(false);
    let deleting = async {
        product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
        deleted.store(true, Ordering::SeqCst);
    };
    let coming = async {
        let mut viewers = Vec::new();
        while !deleted.load(Ordering::SeqCst) && viewers.len() < 200 {
            viewers.push(product.viewer("s1", 0).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        viewers
    };
    let ((), viewers) = futures::future::join(deleting, coming).await;
    assert!(!viewers.is_empty());
    for mut viewer in viewers {
        assert_eq!(viewer.closed().await, 4404);
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_reader_of_events_does_not_keep_the_log_from_being_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let data = tempfile::tempdir().unwrap();
    let product = Product::start_with(|config| {
        config.data = data.path().to_owned();
        config.tuning.socket_send_buffer = Some(4096);
        config.tuning.shutdown_grace = Duration::from_millis(500);
    })
    .await;
    let id = product.sandbox().await;
    for turn in 0..4 {
        let turn = format!("t{turn}");
        product.dispatch(&id, "s1", &turn, "give me a long answer").await.expect(202);
        product.record(&id, "s1", &turn).await;
    }
    let path = format!("{}/events", product.session_path(&id, "s1"));
    let request = product.request(Method::GET, &path).build().unwrap();
    let key = request.headers()["authorization"].to_str().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = product.base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stuck = socket.connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\n\r\n");
    stuck.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stuck.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    product.stop().await;
    assert_eq!(sql(data.path(), "SELECT value FROM meta WHERE key = 'closed'").await, ["yes"]);
}
