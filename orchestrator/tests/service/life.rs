//! How long sandboxes live, what happens to them, and what of it is counted.

use std::{path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Process, Product, eventually, kinds_to_the_end};

async fn watchful() -> Product {
    Product::start_with(|config| config.tuning.idle_check = Duration::from_millis(50)).await
}

async fn watchful_in(data: &Path) -> Product {
    Product::start_with(|config| {
        config.data = data.to_owned();
        config.tuning.idle_check = Duration::from_millis(50);
    })
    .await
}

async fn made(product: &Product, body: Value) -> String {
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

async fn patch(product: &Product, path: &str, body: Value) -> crate::support::Answer {
    product.send(product.request(Method::PATCH, path).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_past_its_lifetime_is_expired_and_not_resumed() {
    let data = tempfile::tempdir().unwrap();
    let product = watchful_in(data.path()).await;
    let id = made(&product, json!({"maxLifetimeSeconds": 1})).await;
    let path = format!("/v1/sandboxes/{id}");
    let expired = product.sandbox_is(&id, "expired").await;
    assert!(expired["expiresAt"].as_str().unwrap() > expired["startedAt"].as_str().unwrap());
    assert_eq!(expired["connection"], Value::Null);
    let command = json!({"command": "true"});
    for answer in [
        product.post(&format!("{path}/runtime/terminals/commands"), command).await,
        product.post(&format!("{path}/runtime/files/read"), json!({"path": "a"})).await,
        product.post(&format!("{path}/resume"), json!({})).await,
        patch(&product, &path, json!({"maxLifetimeSeconds": 600})).await,
    ] {
        assert_eq!(answer.refused(409, "INVALID_STATE")["currentState"], "expired");
    }
    product.dispatch(&id, "s1", "t1", "run: true").await.expect(202);
    assert_eq!(product.record(&id, "s1", "t1").await["error"]["code"], "SANDBOX_UNAVAILABLE");
    let listed = product.get("/v1/sandboxes?status=expired").await.expect(200);
    assert_eq!(listed["total"], 1);
    product.stop().await;

    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    assert_eq!(product.get(&path).await.expect(200)["status"], "expired", "also later");
    product.delete(&path).await.expect(200);
    product.get(&path).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_can_be_changed_and_goes_on_while_a_sandbox_is_stopped() {
    let product = watchful().await;
    let shorter = made(&product, json!({"maxLifetimeSeconds": 600})).await;
    let longer = made(&product, json!({"maxLifetimeSeconds": 600})).await;
    for (id, seconds) in [(&shorter, 1), (&longer, 1200)] {
        let path = format!("/v1/sandboxes/{id}");
        product.post(&format!("{path}/stop"), json!({})).await.expect(200);
        let before = product.get(&path).await.expect(200)["expiresAt"].clone();
        let body = json!({"maxLifetimeSeconds": seconds});
        let after = patch(&product, &path, body).await.expect(200)["expiresAt"].clone();
        assert_eq!(after.as_str() > before.as_str(), seconds > 600, "{before} {after}");
    }
    product.sandbox_is(&shorter, "expired").await;
    product.sandbox_is(&longer, "stopped").await;
    assert_eq!(product.exec(&longer, "echo still").await["stdout"], "still\n");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_that_nobody_asked_for_is_the_configured_one() {
    let product = Product::start_with(|config| config.max_lifetime_seconds = Some(1000)).await;
    let own = made(&product, json!({"maxLifetimeSeconds": 60})).await;
    let configured = made(&product, json!({})).await;
    let ends = async |id: &str| {
        let sandbox = product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
        sandbox["expiresAt"].as_str().unwrap().to_owned()
    };
    assert!(ends(&own).await < ends(&configured).await);
    product.stop().await;
    let product = Product::start().await;
    let id = product.sandbox().await;
    let sandbox = product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(sandbox["expiresAt"], Value::Null);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_moves_the_idle_stop_and_survives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let product = watchful_in(data.path()).await;
    let kept = made(&product, json!({"idleTimeoutSeconds": 2})).await;
    let path = format!("/v1/sandboxes/{kept}");
    let answer = patch(&product, &path, json!({"idleTimeoutSeconds": 3600})).await.expect(200);
    assert_eq!(answer["id"], kept.as_str());
    for bad in [json!({"idleTimeoutSeconds": 0}), json!({"env": {"A": "b"}}), json!({"name": ""})] {
        patch(&product, &path, bad).await.refused(400, "VALIDATION_ERROR");
    }
    patch(&product, "/v1/sandboxes/sandbox-none", json!({})).await.refused(404, "NOT_FOUND");
    product.stop().await;
    let product = watchful_in(data.path()).await;
    let other = made(&product, json!({"idleTimeoutSeconds": 2})).await;
    // Later than the other: it would be stopped before it, had it not been kept alive.
    product.post(&format!("{path}/resume"), json!({})).await.expect(200);
    product.exec(&other, "true").await;
    product.sandbox_is(&other, "stopped").await;
    assert_eq!(product.get(&path).await.expect(200)["status"], "running");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_sandbox_is_told_and_told_again_after_a_number() {
    let product = Product::start().await;
    let id = made(&product, json!({"maxLifetimeSeconds": 600})).await;
    let path = format!("/v1/sandboxes/{id}");
    product.post(&format!("{path}/stop"), json!({})).await.expect(200);
    product.post(&format!("{path}/resume"), json!({})).await.expect(200);
    let update = json!({"name": "new", "idleTimeoutSeconds": 600});
    patch(&product, &path, update).await.expect(200);
    // What changes nothing is nothing that happens.
    for same in [json!({}), json!({"name": "new"}), json!({"idleTimeoutSeconds": 600})] {
        patch(&product, &path, same).await.expect(200);
    }
    product.post(&format!("{path}/stop"), json!({})).await.expect(200);
    let stream = |path: &str| product.request(Method::GET, path);
    let all = product.events(stream(&format!("{path}/events")), 8).await;
    let kinds: Vec<_> = all.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "sandbox.provisioning",
            "sandbox.running",
            "container.ready",
            "sandbox.stopped",
            "sandbox.running",
            "container.ready",
            "sandbox.updated",
            "sandbox.stopped",
        ]
    );
    let numbers: Vec<_> = all.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    let (_, _, running) = &all[1];
    assert_eq!(all[2].2, *running, "one event by two names");
    assert_eq!((&running["sandboxId"], &running["status"]), (&json!(id), &json!("running")));
    assert!(running["expiresAt"].is_string() && running["timestamp"].is_string());
    let reasons: Vec<_> = all.iter().map(|(.., data)| data["reason"].as_str()).collect();
    let asked = Some("requested");
    assert_eq!(reasons, [None, None, None, asked, None, None, None, asked]);

    let after = |number: u64| all[usize::try_from(number).unwrap()..].to_vec();
    let events = stream(&format!("{path}/events")).header("last-event-id", "2");
    assert_eq!(product.events(events, 6).await, after(2));
    for name in ["since", "lastEventId"] {
        let events = stream(&format!("{path}/events?{name}=7"));
        assert_eq!(product.events(events, 1).await, after(7));
    }
    let bad = stream(&format!("{path}/events")).header("last-event-id", "x");
    product.send(bad).await.refused(400, "VALIDATION_ERROR");
    // It is a sandbox's own log, and no session of it.
    let session = format!("{path}/runtime/agents/sessions/@{id}");
    product.get(&session).await.refused(404, "NOT_FOUND");
    product.get("/v1/sandboxes/sandbox-none/events").await.refused(404, "NOT_FOUND");

    let live = stream(&format!("{path}/events?since=7")).send().await.unwrap();
    product.delete(&path).await.expect(200);
    let last = ["sandbox.stopped", "sandbox.deleted", "container.removed"];
    assert_eq!(kinds_to_the_end(live).await, last);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_there_after_a_kill_and_says_that_the_sandbox_was_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 0).await;
    let id = first.product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/events");
    let before = first.product.events(first.product.request(Method::GET, &path), 3).await;
    first.kill();
    let second = Process::start(data.path(), 0).await;
    let after = second.product.events(second.product.request(Method::GET, &path), 4).await;
    assert_eq!(after[..3], before);
    assert_eq!((after[3].0, after[3].1.as_str()), (4, "sandbox.stopped"));
    assert_eq!(after[3].2["reason"], "interrupted");
    assert!(second.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_sandbox_that_nobody_uses_says_whether_another_one_needed_its_place() {
    let product = Product::start_with(|config| {
        config.max_running = 1;
        config.tuning.idle_check = Duration::from_millis(50);
    })
    .await;
    let first = made(&product, json!({})).await;
    let second = made(&product, json!({"idleTimeoutSeconds": 1})).await;
    for (id, reason) in [(&first, "make_room"), (&second, "idle")] {
        let events = product.request(Method::GET, &format!("/v1/sandboxes/{id}/events"));
        let all = product.events(events, 4).await;
        let (_, kind, data) = &all[3];
        assert_eq!((kind.as_str(), &data["reason"]), ("sandbox.stopped", &json!(reason)), "{data}");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compute_minutes_survive_a_kill_and_never_exceed_the_wall_clock() {
    let data = tempfile::tempdir().unwrap();
    let begun = std::time::Instant::now();
    let first = Process::start(data.path(), 0).await;
    let id = first.product.sandbox().await;
    let used = async |product: &Product| {
        let usage = product.get("/v1/usage").await.expect(200);
        assert_eq!(product.get("/usage").await.expect(200)["periodEnd"], usage["periodEnd"]);
        usage["data"]["computeMs"].as_u64().unwrap()
    };
    eventually("it has run for a while", async || (used(&first.product).await > 300).then_some(()))
        .await;
    first.product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    let ended = used(&first.product).await;
    assert_eq!(used(&first.product).await, ended, "what is stopped uses nothing");
    first.product.exec(&id, "true").await;
    first.kill();
    let second = Process::start(data.path(), 0).await;
    let after = used(&second.product).await;
    let wall_clock = u64::try_from(begun.elapsed().as_millis()).unwrap();
    assert!(ended <= after && after <= wall_clock, "{ended} <= {after} <= {wall_clock}");
    assert_eq!(used(&second.product).await, after, "what was killed uses nothing");
    second.product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(used(&second.product).await, after, "what is deleted was used all the same");
    assert!(second.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_and_subscription_are_told_to_every_kind_of_reader() {
    let product = Product::start_with(|config| config.max_running = 7).await;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "run: true").await.expect(202);
    product.record(&id, "s1", "t1").await;
    let usage = eventually("the turn is over", async || {
        let usage = product.get("/usage").await.expect(200);
        (usage["data"]["activeSessionCount"] == 0).then_some(usage)
    })
    .await;
    assert_eq!((&usage["activeSandboxes"], &usage["totalSandboxes"]), (&json!(1), &json!(1)));
    assert!(usage["computeMinutes"].is_number());
    assert!(usage["periodStart"].as_str().unwrap() < usage["periodEnd"].as_str().unwrap());
    let data = &usage["data"];
    assert_eq!((&data["sessionsCreated"], &data["messagesSent"]), (&json!(1), &json!(1)));
    assert_eq!(data["active_sandboxes"], 1);
    assert!(data["api_calls_today"].as_u64().unwrap() >= 3, "{data}");
    for path in ["/v1/usage/subscription", "/usage/subscription"] {
        let subscription = product.get(path).await.expect(200);
        assert_eq!(subscription["limits"]["maxConcurrent"], 7);
        assert_eq!(
            (&subscription["orgId"], &subscription["status"]),
            (&json!("local"), &json!("active"))
        );
    }
    for path in ["/usage", "/v1/usage/subscription"] {
        let open = product.http.get(format!("{}{path}", product.base));
        product.send(open).await.refused(401, "AUTH_ERROR");
    }
    product.stop().await;
}
