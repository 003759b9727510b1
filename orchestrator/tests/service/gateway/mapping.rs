//! A browser's session that is mapped to the one by whose name the turns go.

use serde_json::json;

use crate::support::{Answer, Product, USER, Viewer};

async fn map(product: &Product, user: &str, session: &str, sandbox: &str, runtime: &str) -> Answer {
    let mapping = json!({"userId": user, "sandboxId": sandbox, "runtimeSessionId": runtime});
    product.put(&format!("/v1/session/{session}/mapping"), mapping).await
}

/// A turn of the session, from its dispatch to its end.
async fn turn(product: &Product, sandbox: &str, session: &str, turn: &str) {
    product.dispatch(sandbox, session, turn, &format!("run: echo {turn}")).await.expect(202);
    product.record(sandbox, session, turn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_see_the_runtime_session_live_and_replayed_by_its_numbers() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let mapped = map(&product, USER, "b1", &id, "r1").await.expect(200);
    assert_eq!(mapped, json!({"success": true, "runtimeSessionId": "r1"}));
    let mut live = product.viewer("b1", 0).await;
    let hello = live.next().await.unwrap();
    assert_eq!(hello["data"]["subscribed"], json!(["session:b1"]));
    turn(&product, &id, "r1", "t1").await;
    let live = live.until("done").await;
    assert_eq!(product.viewer("b1", 2).await.until("done").await, live[2..]);
    let log = product.log(&id, "r1").await;
    assert_eq!(log.len(), live.len());
    for ((seq, kind, data), seen) in log.iter().zip(&live) {
        assert_eq!((seq, kind, data), (&seen.seq, &seen.kind, &seen.data));
    }
    // By its own name as well, and by neither for anybody else.
    assert_eq!(product.viewer("r1", 0).await.until("done").await, live);
    let url = format!("{}/session", product.base.replacen("http", "ws", 1));
    for session in ["b1", "r1"] {
        let mut eve = Viewer::open(&url, &product.token("eve", session)).await;
        assert_eq!(eve.closed().await, 4403, "{session}");
    }

    let mut last = product.viewer("b1", 0).await;
    last.until("done").await;
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(last.closed().await, 4404);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_another_users_session_or_one_of_another_sandbox() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    product.map("alices", &id).await;
    turn(&product, &other, "elsewhere", "t1").await;
    map(&product, "eve", "b1", &id, "alices").await.refused(409, "INVALID_STATE");
    map(&product, USER, "b1", &id, "elsewhere").await.refused(409, "INVALID_STATE");
    for runtime in ["", "a/b", "@alices"] {
        map(&product, USER, "b1", &id, runtime).await.refused(400, "VALIDATION_ERROR");
    }
    map(&product, USER, "b1", "sandbox-none", "r1").await.refused(404, "NOT_FOUND");
    // Nothing is left of what was refused.
    for session in ["b1", "r1"] {
        product.get(&product.session_path(&id, session)).await.refused(404, "NOT_FOUND");
    }
    map(&product, USER, "b1", &id, "r1").await.expect(200);
    map(&product, "eve", "b2", &id, "r1").await.refused(409, "INVALID_STATE");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_come_back_for_another_mapping_and_know_its_numbers_for_others() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    map(&product, USER, "b1", &id, "r1").await.expect(200);
    turn(&product, &id, "r1", "t1").await;
    let mut viewer = product.viewer("b1", 0).await;
    let first = viewer.next().await.unwrap()["data"]["epoch"].take();
    viewer.until("done").await;
    // The same once more sends nobody away.
    map(&product, USER, "b1", &id, "r1").await.expect(200);
    turn(&product, &id, "r1", "t2").await;
    viewer.until("done").await;

    map(&product, USER, "b1", &id, "r2").await.expect(200);
    assert_eq!(viewer.closed().await, 1001);
    turn(&product, &id, "r2", "t3").await;
    let mut viewer = product.viewer("b1", 0).await;
    assert_ne!(viewer.next().await.unwrap()["data"]["epoch"], first);
    let seen = viewer.until("done").await;
    assert_eq!(seen, product.viewer("r2", 0).await.until("done").await);

    // Without a runtime session it is itself again.
    product.map("b1", &id).await;
    assert_eq!(viewer.closed().await, 1001);
    turn(&product, &id, "b1", "t4").await;
    let seen = product.viewer("b1", 0).await.until("done").await;
    assert_eq!(seen.len(), product.log(&id, "b1").await.len());
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_before_the_mapping_comes_back_for_what_it_shows() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let mut early = product.viewer("b1", 0).await;
    early.next().await.unwrap();
    turn(&product, &id, "r1", "t1").await;
    map(&product, USER, "b1", &id, "r1").await.expect(200);
    assert_eq!(early.closed().await, 1001);
    let seen = product.viewer("b1", 0).await.until("done").await;
    assert_eq!(seen.len(), product.log(&id, "r1").await.len());
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_session_that_is_gone_ends_its_viewers_whoever_has_its_name_next() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    map(&product, USER, "b1", &id, "r1").await.expect(200);
    let mut viewer = product.viewer("b1", 0).await;
    viewer.next().await.unwrap();
    product.delete(&product.session_path(&id, "r1")).await.expect(200);
    assert_eq!(viewer.closed().await, 4404);
    assert_eq!(product.viewer("b1", 0).await.closed().await, 4404);
    turn(&product, &other, "r1", "t1").await;
    assert_eq!(product.viewer("b1", 0).await.closed().await, 4404);
    product.stop().await;
}
