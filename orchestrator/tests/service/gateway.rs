//! What a person watches while an agent works.

mod mapping;

use serde_json::json;

use crate::support::{Product, Viewer, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn viewers_see_a_turn_as_it_stands_in_the_log_whenever_they_come() {
    let product = Product::start_with(|config| config.demo_pace_ms = 1).await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let mut early = product.viewer("s1", 0).await;
    product
        .dispatch(&id, "s1", "t1", "write a small program, run it, fix what fails")
        .await
        .expect(202);
    let early = tokio::spawn(async move { early.until("done").await });
    let path = product.session_path(&id, "s1");
    eventually("the turn is on its way", async || {
        (product.get(&path).await.expect(200)["lastSeq"].as_u64() > Some(10)).then_some(())
    })
    .await;
    let middle = product.viewer("s1", 5).await.until("done").await;
    let early = early.await.unwrap();
    let late = product.viewer("s1", 0).await.until("done").await;
    assert_eq!(early, late);
    assert_eq!(middle, late[5..]);
    let log: Vec<_> = product.log(&id, "s1").await;
    assert_eq!(log.len(), late.len());
    for ((seq, kind, data), seen) in log.iter().zip(&late) {
        assert_eq!((seq, kind, data), (&seen.seq, &seen.kind, &seen.data));
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_sandbox_closes_its_viewers_and_forgets_its_log() {
    let product = Product::start_with(|config| config.demo_pace_ms = 20).await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    let mut viewer = product.viewer("s1", 0).await;
    viewer.event().await.unwrap();
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert_eq!(viewer.closed().await, 4404);
    product.get(&product.session_path(&id, "s1")).await.refused(404, "NOT_FOUND");
    // The same name in another sandbox begins a new log.
    let next = product.sandbox().await;
    product.map("s1", &next).await;
    let receipt = product.dispatch(&next, "s1", "t1", "run: echo new").await.expect(202);
    assert_eq!(receipt["since"], json!(0));
    product.record(&next, "s1", "t1").await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_turns_in_words_before_it_sends_viewers_away() {
    let product = Product::start_with(|config| config.demo_pace_ms = 20).await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    let mut viewer = product.viewer("s1", 0).await;
    viewer.event().await.unwrap();
    let stopping = tokio::spawn(product.stop());
    let seen = viewer.until("done").await;
    assert_eq!(seen.last().unwrap().data["outcome"], "interrupted");
    let mut draining = false;
    let code = loop {
        match viewer.next().await {
            Ok(frame) => draining |= frame["type"] == "server.draining",
            Err(code) => break code,
        }
    };
    assert_eq!((draining, code), (true, 1001));
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_token_does_not_open_the_session() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let url = format!("{}/session", product.base.replacen("http", "ws", 1));
    let mut viewer = Viewer::open(&url, &product.token("eve", "s1")).await;
    assert_eq!(viewer.closed().await, 4403);
    product.stop().await;
}
