//! Runs: an execution that is streamed to whoever asked for it, as the public client reads it.

mod bus;
mod executions;
mod stream;

use reqwest::Method;
use serde_json::json;

use crate::support::{Product, eventually};
use stream::{Frame, Running, as_logged, numbers};

#[tokio::test(flavor = "multi_thread")]
async fn both_spellings_of_a_run_stream_their_execution_to_its_done() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let older = json!({"identifier": "default", "message": "run: echo really", "metadata": {}});
    let parts = json!([{"type": "text", "text": "run: echo really"}]);
    let newer = json!({"message": "run: echo really", "parts": parts, "sessionId": "s1",
        "backend": {"type": "demo"}});
    for body in [older, newer] {
        let run = Running::start(&product, &id, body.clone(), &[]).await;
        let (session, execution) = (run.header("x-session-id"), run.header("x-execution-id"));
        let frames = run.read_out().await;
        let numbers = numbers(&frames);
        assert_eq!(numbers, (1..=frames.len() as u64).collect::<Vec<_>>());
        assert_eq!(frames[0].kind, "execution.started");
        assert_eq!(frames[0].data["sessionId"], session.as_str());
        assert_eq!(frames[0].data["executionId"], execution.as_str());
        let [result, done] = &frames[frames.len() - 2..] else { panic!() };
        assert_eq!((result.kind.as_str(), done.kind.as_str()), ("result", "done"));
        assert_eq!(result.data["metadata"]["sessionId"], session.as_str());
        assert_eq!(result.data["metadata"]["traceId"], execution.as_str());
        assert!(result.data["tokenUsage"]["outputTokens"].is_u64());
        // What the public client adds up where it finds no final text.
        let texts = frames.iter().filter(|frame| frame.data["part"]["type"] == "text");
        let contents: String =
            texts.map(|frame| frame.data["part"]["content"].as_str().unwrap()).collect();
        assert!(!contents.is_empty() && !result.data["finalText"].as_str().unwrap().is_empty());
        if body["sessionId"].is_string() {
            assert_eq!(session, "s1");
        }
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_and_a_run_see_the_same_numbers() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let mut viewer = product.viewer("s1", 0).await;
    let body = json!({"message": "run: echo both", "sessionId": "s1"});
    let run = Running::start(&product, &id, body, &[]).await;
    let seen = viewer.until("done").await;
    let run: Vec<_> = run.read_out().await.iter().map(as_logged).collect();
    let seen: Vec<_> = seen.into_iter().map(|seen| (seen.seq, seen.kind, seen.data)).collect();
    assert_eq!(run, seen);
    assert_eq!(run, product.log(&id, "s1").await);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_goes_on_after_the_last_number_and_loses_and_doubles_nothing() {
    let product = Product::start_with(|config| config.demo_pace_ms = 2).await;
    let id = product.sandbox().await;
    let headers = [("x-execution-id", "e1")];
    let body = json!({"message": "give me a long answer", "sessionId": "s1"});
    let mut whole: Vec<Frame> = Vec::new();
    let mut breaks = 0_u32;
    loop {
        let last = whole.last().map_or(0, |frame| frame.id.unwrap());
        let cursor = last.to_string();
        let resume = [headers[0], ("last-event-id", cursor.as_str())];
        let mut run = Running::start(&product, &id, body.clone(), &resume).await;
        // Further each time, so that it comes to its end.
        let most = 10 << breaks.min(20);
        let mut is_open = true;
        while is_open && run.seen.len() < most {
            is_open = run.read().await;
        }
        whole.extend(run.seen);
        if !is_open {
            break;
        }
        // It is dropped here, in the middle.
        breaks += 1;
    }
    assert!(breaks >= 2, "it broke {breaks} times only");
    assert_eq!(whole.last().unwrap().kind, "done");
    let whole: Vec<_> = whole.iter().map(as_logged).collect();
    assert_eq!(whole, product.log(&id, "s1").await);
    let cursor = whole.last().unwrap().0.to_string();
    let resume = [headers[0], ("last-event-id", cursor.as_str())];
    let again = Running::start(&product, &id, body.clone(), &resume).await.read_out().await;
    let beyond = [headers[0], ("last-event-id", "99999")];
    let beyond = Running::start(&product, &id, body, &beyond).await.read_out().await;
    // Who has it all hears how it ended, so that nobody takes the stream for one that was cut off.
    for ending in [again, beyond] {
        let kinds: Vec<_> = ending.iter().map(|frame| (frame.kind.as_str(), frame.id)).collect();
        assert_eq!(kinds, [("result", None), ("done", None)]);
        let [result, done] = &whole[whole.len() - 2..] else { panic!() };
        assert_eq!(ending[0].data["finalText"], result.2["finalText"]);
        assert_eq!(ending[1].data, done.2);
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_streamed_answers_with_its_result() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/agents/run");
    let body = json!({"message": "run: echo whole", "sessionId": "s1", "turnId": "t1"});
    let result = product.post(&path, body.clone()).await.expect(200);
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!((&result["success"], &result["state"]), (&json!(true), &json!("completed")));
    assert_eq!(result["finalText"], record["finalText"]);
    assert_eq!(result["tokenUsage"], record["tokenUsage"]);
    assert_eq!(result["metadata"]["sessionId"], "s1");
    assert_eq!(product.post(&path, body).await.expect(200), result, "it is looked up");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_run_is_refused_in_words() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/agents/run/stream");
    for wrong in [
        json!({}),
        json!({"message": "  "}),
        json!({"message": 7}),
        json!({"message": "x", "identifier": "other"}),
        json!({"message": "x", "sessionId": "no spaces"}),
        json!({"message": "x", "sessionId": "@sandbox"}),
        json!({"message": "x", "turnId": "../t"}),
        json!({"message": "x", "backend": {"profile": "reckless"}}),
        json!({"message": "x", "backend": {"inlineProfile": {"permision": {"bash": "deny"}}}}),
        json!({"parts": [{"type": "image", "url": "x"}]}),
    ] {
        product.post(&path, wrong.clone()).await.refused(400, "VALIDATION_ERROR");
    }
    let with = |name: &str, value: &str| {
        let request = product.request(Method::POST, &path).header(name, value);
        product.send(request.json(&json!({"message": "", "turnId": "e1"})))
    };
    with("last-event-id", "many").await.refused(400, "VALIDATION_ERROR");
    with("x-execution-id", "e2").await.refused(400, "VALIDATION_ERROR");
    with("x-execution-id", "e1").await.refused(404, "NOT_FOUND");
    let nowhere = "/v1/sandboxes/sandbox-none/runtime/agents/run/stream";
    product.post(nowhere, json!({"message": "x"})).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_in_a_run_is_listed_again_for_whoever_comes_back() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let body = json!({"message": "ask me tea or coffee", "sessionId": "s1"});
    let mut run = Running::start(&product, &id, body, &[("x-execution-id", "e1")]).await;
    while !run.seen.iter().any(|frame| frame.kind == "interaction") {
        assert!(run.read().await, "it ended");
    }
    let asked = run.seen.iter().find(|frame| frame.kind == "interaction").unwrap();
    let asked = asked.data["request"].clone();
    drop(run);
    let path = product.session_path(&id, "s1");
    let open = product.get(&format!("{path}/interactions")).await.expect(200);
    assert_eq!(open["data"]["interactions"], json!([asked]));
    let status = product.get(&format!("{path}/status")).await.expect(200);
    assert_eq!(status["waitsFor"], "awaiting_question");
    assert_eq!(status["reconnectable"], true);
    assert_eq!(status["activeExecution"], json!({"id": "e1", "status": "running"}));
    let answer = json!({"id": asked["id"], "outcome": "accepted", "data": {"q1": "tea"}});
    product.post(&format!("{path}/interactions"), answer).await.expect(200);
    let again = Running::start(&product, &id, json!({}), &[("x-execution-id", "e1")]).await;
    let frames = again.read_out().await;
    assert!(frames.iter().any(|frame| frame.kind == "interaction.resolved"));
    eventually("nothing is asked any more", async || {
        let open = product.get(&format!("{path}/interactions")).await.expect(200);
        (open["data"]["interactions"] == json!([])).then_some(())
    })
    .await;
    product.stop().await;
}
