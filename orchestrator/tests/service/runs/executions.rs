//! An execution is one, however often it is asked for, and goes on by itself.

use futures::future::join_all;
use serde_json::json;

use super::stream::{Running, numbers};
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_execution_many_times_at_once_runs_once() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    for session in [None, Some("s1")] {
        let execution = format!("e-{}", session.unwrap_or("none"));
        let body = json!({
            "message": format!("run: echo once >> {execution}"), "sessionId": session,
        });
        let headers = [("x-execution-id", execution.as_str())];
        let all = (0..6).map(|_| Running::start(&product, &id, body.clone(), &headers));
        let all = join_all(all).await;
        let all = join_all(all.into_iter().map(Running::read_out)).await;
        assert_eq!(all[0].last().unwrap().kind, "done");
        assert!(all.iter().all(|one| *one == all[0]));
        let file = product.exec(&id, &format!("cat {execution}")).await;
        assert_eq!(file["stdout"], "once\n");
        // Long after it has ended as well, and with nothing to say.
        let again = Running::start(&product, &id, json!({"message": ""}), &headers).await;
        assert_eq!(again.read_out().await, all[0]);
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_goes_on_without_whoever_asked_for_it_and_its_next_turn_is_not_told() {
    let product = Product::start_with(|config| config.demo_pace_ms = 2).await;
    let id = product.sandbox().await;
    let headers = [("x-execution-id", "e1")];
    let body = json!({"message": "give me a long answer", "sessionId": "s1"});
    let mut run = Running::start(&product, &id, body.clone(), &headers).await;
    run.read().await;
    drop(run);
    let record = product.record(&id, "s1", "e1").await;
    assert_eq!(record["state"], "completed", "{record}");
    product.dispatch(&id, "s1", "t2", "run: echo next").await.expect(202);
    product.record(&id, "s1", "t2").await;
    let frames = Running::start(&product, &id, body, &headers).await.read_out().await;
    assert_eq!(frames.last().unwrap().id, record["lastSeq"].as_u64());
    // The second one in the session has its numbers after the first, without a gap.
    let second = [("x-execution-id", "t2")];
    let second = Running::start(&product, &id, json!({}), &second).await.read_out().await;
    let first = record["lastSeq"].as_u64().unwrap() + 1;
    assert_eq!(numbers(&second), (first..first + second.len() as u64).collect::<Vec<_>>());
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_cancelled_by_its_id() {
    let product = Product::start_with(|config| config.demo_pace_ms = 100).await;
    let id = product.sandbox().await;
    let cancel = format!("/v1/sandboxes/{id}/runtime/agents/run/cancel");
    let none = product.post(&cancel, json!({"executionId": "e1"})).await.expect(200);
    assert_eq!(none["cancelled"], false);
    product.post(&cancel, json!({})).await.refused(400, "VALIDATION_ERROR");
    let body = json!({"message": "give me a long answer", "sessionId": "s1"});
    let run = Running::start(&product, &id, body, &[("x-execution-id", "e1")]).await;
    let other = json!({"executionId": "e1", "sessionId": "s2"});
    assert_eq!(product.post(&cancel, other).await.expect(200)["cancelled"], false);
    let cancelled = product.post(&cancel, json!({"executionId": "e1"})).await.expect(200);
    assert_eq!(cancelled["cancelled"], true);
    let frames = run.read_out().await;
    assert_eq!(frames.last().unwrap().data["outcome"], "aborted");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_is_one_execution_of_one_session() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "run: echo one").await.expect(202);
    product.record(&id, "s1", "t1").await;
    product.dispatch(&id, "s2", "t1", "run: echo two").await.refused(409, "INVALID_STATE");
    // What is refused makes no session.
    product.get(&product.session_path(&id, "s2")).await.refused(404, "NOT_FOUND");
    let path = format!("/v1/sandboxes/{id}/runtime/agents/run/stream");
    let body = json!({"message": "run: echo two", "sessionId": "s2", "turnId": "t1"});
    product.post(&path, body).await.refused(409, "INVALID_STATE");
    // In another sandbox it is another one.
    let other = product.sandbox().await;
    product.dispatch(&other, "s3", "t1", "run: echo three").await.expect(202);
    assert_eq!(product.record(&other, "s3", "t1").await["state"], "completed");
    product.stop().await;
}
