//! Runs: an execution that is streamed to whoever asked for it, as the public client reads it.

use futures::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Product, eventually};

/// A frame as the public client's parser gives it.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    id: Option<u64>,
    kind: String,
    data: Value,
}

/// The public client's parser: lines end in LF only, a frame needs both `event` and `data`, the last
/// `data` line wins, and one without its blank line is lost.
#[derive(Default)]
struct Parser {
    rest: Vec<u8>,
    id: Option<u64>,
    kind: String,
    data: String,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.rest.extend_from_slice(bytes);
        assert!(!self.rest.contains(&b'\r'), "it reads nothing that has one");
        let mut frames = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let rest = self.rest.split_off(end + 1);
            let line = String::from_utf8(std::mem::replace(&mut self.rest, rest)).unwrap();
            let line = line.trim_end_matches('\n');
            if let Some(kind) = line.strip_prefix("event: ") {
                self.kind = kind.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                assert!(self.data.is_empty(), "the line before would be lost");
                self.data = data.to_owned();
            } else if let Some(id) = line.strip_prefix("id: ") {
                self.id = Some(id.parse().unwrap());
            } else if line.is_empty() {
                let state = std::mem::take(self);
                self.rest = state.rest;
                if !state.kind.is_empty() && !state.data.is_empty() {
                    let data = serde_json::from_str(&state.data).unwrap();
                    frames.push(Frame { id: state.id, kind: state.kind, data });
                }
            } else {
                assert!(line.starts_with(':'), "{line:?} is not read by anybody");
            }
        }
        frames
    }
}

/// A stream under way.
struct Running {
    answer: Response,
    parser: Parser,
    seen: Vec<Frame>,
}

impl Running {
    async fn start(
        product: &Product,
        sandbox: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Self {
        let path = format!("/v1/sandboxes/{sandbox}/runtime/agents/run/stream");
        let mut request = product.request(Method::POST, &path).json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, parser: Parser::default(), seen: Vec::new() }
    }

    fn header(&self, name: &str) -> String {
        self.answer.headers()[name].to_str().unwrap().to_owned()
    }

    /// `false`: the server has ended it.
    async fn read(&mut self) -> bool {
        let chunk =
            tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("nothing came");
        let Some(chunk) = chunk.unwrap() else { return false };
        let frames = self.parser.feed(&chunk);
        self.seen.extend(frames.into_iter().filter(|frame| frame.kind != "heartbeat"));
        true
    }

    async fn read_out(mut self) -> Vec<Frame> {
        while self.read().await {}
        assert!(self.parser.rest.is_empty() && self.parser.kind.is_empty(), "a frame was cut");
        self.seen
    }
}

fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.id.expect("an event without a number")).collect()
}

/// The frame as it stands in the log: without what only this stream adds.
fn as_logged(frame: &Frame) -> (u64, String, Value) {
    let mut data = frame.data.clone();
    if let Some(part) = data.get_mut("part").and_then(Value::as_object_mut) {
        part.remove("content");
    }
    if let Some(metadata) = data.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("traceId");
    }
    (frame.id.unwrap(), frame.kind.clone(), data)
}

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
    let nothing = Running::start(&product, &id, body, &resume).await;
    assert!(nothing.read_out().await.is_empty());
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
async fn an_execution_is_cancelled_by_its_id() {
    let product = Product::start_with(|config| config.demo_pace_ms = 20).await;
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
    let path = format!("/v1/sandboxes/{id}/runtime/agents/run/stream");
    let body = json!({"message": "run: echo two", "sessionId": "s2", "turnId": "t1"});
    product.post(&path, body).await.refused(409, "INVALID_STATE");
    // In another sandbox it is another one.
    let other = product.sandbox().await;
    product.dispatch(&other, "s3", "t1", "run: echo three").await.expect(202);
    assert_eq!(product.record(&other, "s3", "t1").await["state"], "completed");
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
async fn the_bus_tells_of_every_session_of_its_sandbox_and_ends_with_it() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    let path = format!("/v1/sandboxes/{id}/runtime/agents/events");
    let answer = product.request(Method::GET, &path).send().await.unwrap();
    let mut bus = Running { answer, parser: Parser::default(), seen: Vec::new() };
    bus.read().await;
    assert_eq!(bus.seen[0].kind, "connection.established");
    product.dispatch(&other, "s9", "t9", "run: echo elsewhere").await.expect(202);
    for (session, turn) in [("s1", "t1"), ("s2", "t2")] {
        product.dispatch(&id, session, turn, "run: echo here").await.expect(202);
    }
    let of = |seen: &[Frame], session: &str| -> Vec<(u64, String)> {
        let seen = seen.iter().filter(|frame| frame.data["sessionId"] == session);
        seen.map(|frame| (frame.data["_meta"]["seq"].as_u64().unwrap(), frame.kind.clone()))
            .collect()
    };
    let is_over = |seen: &[Frame], session: &str| {
        of(seen, session).last().is_some_and(|(_, kind)| kind == "done")
    };
    while !is_over(&bus.seen, "s1") || !is_over(&bus.seen, "s2") {
        assert!(bus.read().await, "it ended");
    }
    for session in ["s1", "s2"] {
        let log = product.log(&id, session).await;
        let log: Vec<_> = log.into_iter().map(|(seq, kind, _)| (seq, kind)).collect();
        assert_eq!(of(&bus.seen, session), log);
    }
    assert!(of(&bus.seen, "s9").is_empty());
    // A second turn of a session is told as well.
    product.dispatch(&id, "s1", "t3", "run: echo again").await.expect(202);
    let ends = |seen: &[Frame]| of(seen, "s1").iter().filter(|event| event.1 == "done").count();
    while ends(&bus.seen) < 2 {
        assert!(bus.read().await, "it ended");
    }
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    while bus.read().await {}
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
