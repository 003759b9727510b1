//! What is refused because it is too much for one minute.

use serde_json::json;

use crate::support::{Answer, Product};

/// The first answer that is a refusal for too much. There is one among the first so many.
async fn first_refused(most: usize, mut ask: impl AsyncFnMut(usize) -> Answer) -> (usize, Answer) {
    for number in 0..most {
        let answer = ask(number).await;
        if answer.status.as_u16() == 429 {
            return (number, answer);
        }
        assert!(answer.status.is_success(), "{answer:?}");
    }
    panic!("{most} were let through");
}

#[track_caller]
fn says(answer: Answer, quota: &str, limit: u32) {
    let wait: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let body = answer.refused(429, "QUOTA_EXCEEDED");
    assert_eq!(body["quotaType"], quota);
    assert_eq!((&body["current"], &body["limit"]), (&json!(limit), &json!(limit)));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_by_the_key_and_by_the_sandbox_of_the_token() {
    let product = Product::start_with(|config| config.max_requests_per_minute = 20).await;
    let made = product.post("/v1/sandboxes", json!({})).await.expect(201);
    let connection = &made["connection"];
    let url = format!("{}/agents/sessions", connection["sidecarUrl"].as_str().unwrap());
    let token = connection["authToken"].as_str().unwrap();

    let list = async |_: usize| product.get("/v1/sandboxes").await;
    let (before, refused) = first_refused(200, list).await;
    assert!(before >= 19, "{before}");
    says(refused, "requests_per_minute", 20);

    // Those of the sandbox's token are counted apart.
    let of_sandbox = async |_: usize| product.send(product.http.get(&url).bearer_auth(token)).await;
    let (before, refused) = first_refused(200, of_sandbox).await;
    assert!(before >= 20, "{before}");
    says(refused, "requests_per_minute", 20);

    // Who may not ask is told so, and takes nothing from who may.
    let stranger = product.http.get(format!("{}/v1/sandboxes", product.base)).bearer_auth("x");
    product.send(stranger).await.refused(401, "AUTH_ERROR");
    let health = product.http.get(format!("{}/health", product.base));
    product.send(health).await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_sessions_are_limited_and_known_ones_go_on() {
    let product = Product::start_with(|config| config.max_new_sessions_per_minute = 2).await;
    let id = product.sandbox().await;
    let map = async |number: usize| {
        let mapping = json!({"userId": "alice", "sandboxId": id});
        product.put(&format!("/v1/session/s{number}/mapping"), mapping).await
    };
    let (before, refused) = first_refused(100, &map).await;
    assert!(before >= 2, "{before}");
    says(refused, "sessions_per_minute", 2);

    for _ in 0..5 {
        map(0).await.expect(200);
    }
    // Who has a sandbox's token takes none from the product, nor from other sandboxes.
    let sandbox = product.post("/v1/sandboxes", json!({})).await.expect(201);
    let connection = &sandbox["connection"];
    let url = format!("{}/agents/sessions", connection["sidecarUrl"].as_str().unwrap());
    let token = connection["authToken"].as_str().unwrap();
    let open = async |_: usize| {
        let request = product.http.post(&url).bearer_auth(token).json(&json!({}));
        product.send(request).await
    };
    let (before, refused) = first_refused(100, open).await;
    assert!(before >= 2, "{before}");
    says(refused, "sessions_per_minute", 2);
    // A session that is refused leaves no sandbox behind.
    let make = async |_: usize| product.post("/v1/sessions", json!({})).await;
    let (made, refused) = first_refused(100, make).await;
    says(refused, "sessions_per_minute", 2);
    let sandboxes = product.get("/v1/sandboxes").await.expect(200);
    assert_eq!(sandboxes["total"], json!(made + 2));
    product.stop().await;
}
