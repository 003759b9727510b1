//! Turns: dispatched once, streamed, metered, ended once.

use serde_json::{Value, json};

use crate::support::{Product, eventually};

/// Checks the shape of a session's log: numbers without gaps, turns that begin and end.
fn check_log(log: &[(u64, String, Value)]) {
    let mut open: Option<String> = None;
    for (index, (seq, kind, data)) in log.iter().enumerate() {
        assert_eq!(*seq, index as u64 + 1);
        match kind.as_str() {
            "execution.started" => {
                assert_eq!(open, None);
                open = Some(data["executionId"].as_str().unwrap().to_owned());
            }
            "result" => {
                assert_eq!(data["metadata"]["turnId"].as_str(), open.as_deref());
                assert_eq!(log[index + 1].1, "done");
            }
            "done" => assert_eq!(data["turnId"].as_str(), open.take().as_deref()),
            _ => assert!(open.is_some(), "{kind} outside of a turn"),
        }
    }
    assert_eq!(open, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_with_a_turn_are_put_into_the_sandbox_once_and_named_to_the_agent() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let messages = format!("{}/messages", product.session_path(&id, "s1"));
    let sent = json!({"type": "file", "filename": "../n.txt", "mediaType": "text/plain",
        "url": "data:text/plain;base64,c2VudCBhbG9uZw=="});
    let there = json!({"type": "image", "path": "pictures/a.png"});
    let parts = json!([{"type": "text", "text": "hello"}, sent, there]);
    let body = json!({"turnId": "t1", "parts": parts});
    product.post(&messages, body.clone()).await.expect(202);
    product.record(&id, "s1", "t1").await;
    let file = "attachments/t1/1-n.txt";
    assert_eq!(product.exec(&id, &format!("cat {file}")).await["stdout"], "sent along");
    let said = product.get(&messages).await.expect(200);
    let list = format!("- /workspace/{file} (text/plain)\n- /workspace/pictures/a.png");
    assert_eq!(
        said["messages"][0]["parts"][0]["text"],
        format!("hello\n\nFiles that come with this message:\n{list}")
    );
    // The same again is a look-up, and brings nothing back.
    product.exec(&id, "rm -r attachments && touch attachments").await;
    product.post(&messages, body).await.expect(200);
    assert_eq!(product.exec(&id, "test -f attachments").await["exitCode"], 0);
    // No agent is told of a file that is not there.
    let body = json!({"turnId": "t2", "parts": [sent]});
    product.post(&messages, body).await.expect(202);
    let record = product.record(&id, "s1", "t2").await;
    assert_eq!(
        (&record["state"], &record["error"]["code"]),
        (&json!("failed"), &json!("FILE_NOT_WRITTEN"))
    );
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_runs_in_the_sandbox_and_leaves_a_record_and_a_log() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let receipt =
        product.dispatch(&id, "s1", "t1", "run: echo really > proof.txt").await.expect(202);
    assert_eq!(
        (&receipt["alreadyExisted"], &receipt["state"], &receipt["since"]),
        (&json!(false), &json!("running"), &json!(0))
    );
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!(record["state"], "completed", "{record}");
    assert_eq!(product.exec(&id, "cat proof.txt").await["stdout"], "really\n");

    let log = product.log(&id, "s1").await;
    check_log(&log);
    assert_eq!((&log[0].1, &log[0].2["model"]), (&"execution.started".to_owned(), &json!("demo")));
    let parts: Vec<_> = log.iter().filter(|event| event.1 == "message.part.updated").collect();
    assert!(parts.iter().all(|(_, _, data)| data["part"]["messageID"] == "msg_t1"));
    assert!(parts.iter().any(|(_, _, data)| data["part"]["type"] == "tool"));
    let [(_, _, result), (last_seq, _, done)] = &log[log.len() - 2..] else { panic!() };
    assert_eq!(result["finalText"], record["finalText"]);
    assert_eq!(
        (&result["tokenUsage"], &done["tokenUsage"]),
        (&record["tokenUsage"], &record["tokenUsage"])
    );
    assert_eq!(done["outcome"], "completed");
    assert_eq!((&record["firstSeq"], &record["lastSeq"]), (&json!(1), &json!(last_seq)));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_metered_from_the_prompt_and_from_what_was_appended() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let prompt = "run: echo ünïcode";
    product.dispatch(&id, "s1", "t1", prompt).await.expect(202);
    let record = product.record(&id, "s1", "t1").await;
    let bytes: usize = record["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| match part["type"].as_str().unwrap() {
            "text" | "reasoning" => part["text"].as_str().unwrap().len(),
            "tool" => part["state"]["input"].to_string().len(),
            _ => 0,
        })
        .sum();
    let usage = &record["tokenUsage"];
    assert_eq!(usage["inputTokens"], json!(prompt.len().div_ceil(4)));
    assert_eq!(usage["outputTokens"], json!(bytes.div_ceil(4)));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_turn_sent_many_times_at_once_runs_once() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let text = "run: echo once >> count.txt";
    let all = (0..8).map(|_| product.dispatch(&id, "s1", "t1", text));
    let answers = futures::future::join_all(all).await;
    let started = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(started, 1);
    assert!(answers.iter().all(|answer| [200, 202].contains(&answer.status.as_u16())));
    product.record(&id, "s1", "t1").await;
    let again = product.dispatch(&id, "s1", "t1", "run: echo other").await.expect(200);
    assert_eq!(
        (&again["alreadyExisted"], &again["state"], &again["since"]),
        (&json!(true), &json!("completed"), &json!(0))
    );
    assert_eq!(product.exec(&id, "cat count.txt").await["stdout"], "once\n");
    let log = product.log(&id, "s1").await;
    check_log(&log);
    assert_eq!(log.iter().filter(|event| event.1 == "done").count(), 1);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_turn_at_a_time_in_a_session_and_many_in_many() {
    let product = Product::start_with(|config| config.demo_pace_ms = 100).await;
    let id = product.sandbox().await;
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    let refused = product.dispatch(&id, "s1", "t2", "hello").await.refused(409, "INVALID_STATE");
    assert_eq!(refused["activeExecutionId"], "t1");
    product.dispatch(&id, "s2", "t3", "give me a long answer").await.expect(202);
    let status = product.get(&product.session_path(&id, "s1")).await.expect(200);
    assert_eq!((&status["state"], &status["activeExecutionId"]), (&json!("running"), &json!("t1")));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_keeps_what_was_said_and_frees_the_session() {
    let product = Product::start_with(|config| config.demo_pace_ms = 100).await;
    let id = product.sandbox().await;
    let path = product.session_path(&id, "s1");
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    eventually("some text is there", async || {
        let status = product.get(&path).await.expect(200);
        (status["lastSeq"].as_u64() > Some(30)).then_some(())
    })
    .await;
    for name in ["turnId", "executionId"] {
        let wrong = product.post(&format!("{path}/abort"), json!({name: "t0"})).await.expect(200);
        assert_eq!(wrong["cancelled"], json!(false), "{name}");
    }
    // Without a body, and without saying that there is none.
    let abort = product.request(reqwest::Method::POST, &format!("{path}/abort"));
    assert_eq!(product.send(abort).await.expect(200)["cancelled"], json!(true));
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!((&record["state"], &record["error"]), (&json!("aborted"), &Value::Null));
    assert!(record["finalText"].as_str().unwrap().len() > 20);
    let open =
        |part: &&Value| matches!(part["state"]["status"].as_str(), Some("running" | "pending"));
    assert!(record["parts"].as_array().unwrap().iter().find(open).is_none());
    check_log(&product.log(&id, "s1").await);
    let again = product.post(&format!("{path}/abort"), json!({})).await.expect(200);
    assert_eq!(again["cancelled"], json!(false));
    product.dispatch(&id, "s1", "t2", "run: echo free").await.expect(202);
    eventually("the next turn is heard", async || {
        let status = product.get(&path).await.expect(200);
        (status["activeExecutionId"] == "t2" || status["state"] == "idle").then_some(())
    })
    .await;
    let unknown = product.session_path(&id, "nobody");
    let nothing = product.post(&format!("{unknown}/abort"), json!({})).await.expect(200);
    assert_eq!(nothing["cancelled"], json!(false));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_in_the_first_moment_is_heard() {
    let product = Product::start_with(|config| config.demo_pace_ms = 100).await;
    let id = product.sandbox().await;
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    let abort = format!("{}/abort", product.session_path(&id, "s1"));
    assert_eq!(product.post(&abort, json!({})).await.expect(200)["cancelled"], json!(true));
    assert_eq!(product.record(&id, "s1", "t1").await["state"], "aborted");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_ends_where_its_limits_are() {
    let product = Product::start_with(|config| config.demo_pace_ms = 1).await;
    let id = product.sandbox().await;
    let limits = json!({"maxOutputTokens": 50});
    product.dispatch_with(&id, "s1", "t1", "give me a long answer", limits).await.expect(202);
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!(
        (&record["state"], &record["error"]["code"]),
        (&json!("failed"), &json!("OUT_OF_CREDITS"))
    );
    let used = record["tokenUsage"]["outputTokens"].as_u64().unwrap();
    assert!((1..=50).contains(&used), "{used}");
    let log = product.log(&id, "s1").await;
    check_log(&log);
    assert_eq!(log[log.len() - 3].1, "error");

    let limits = json!({"maxInputTokens": 1});
    product.dispatch_with(&id, "s1", "t2", "run: echo too much asked", limits).await.expect(202);
    let record = product.record(&id, "s1", "t2").await;
    assert_eq!(record["error"]["code"], "OUT_OF_CREDITS");
    assert_eq!(record["tokenUsage"]["outputTokens"], json!(0));

    let limits = json!({"maxDurationMs": 300});
    product.dispatch_with(&id, "s1", "t3", "run: sleep 30", limits).await.expect(202);
    let record = product.record(&id, "s1", "t3").await;
    assert_eq!(record["error"]["code"], "TURN_TIMEOUT");
    assert_eq!(record["error"]["message"], "The turn took longer than 300 ms.");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_sandbox_is_resumed_by_a_dispatch_and_a_stop_interrupts_a_turn() {
    let product = Product::start_with(|config| config.demo_pace_ms = 5).await;
    let id = product.sandbox().await;
    let stop = format!("/v1/sandboxes/{id}/stop");
    product.post(&stop, json!({})).await.expect(200);
    product.dispatch(&id, "s1", "t1", "run: echo back").await.expect(202);
    assert_eq!(product.record(&id, "s1", "t1").await["state"], "completed");
    product.dispatch(&id, "s1", "t2", "run: sleep 60").await.expect(202);
    product.post(&stop, json!({})).await.expect(200);
    let record = product.record(&id, "s1", "t2").await;
    assert_eq!(
        (&record["state"], &record["error"]["code"]),
        (&json!("interrupted"), &json!("SANDBOX_STOPPED"))
    );
    check_log(&product.log(&id, "s1").await);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_whose_time_is_up_interrupts_its_turn() {
    let product = Product::start_with(|config| {
        config.tuning.idle_check = std::time::Duration::from_millis(50);
    })
    .await;
    let id = &product.sandbox().await;
    product.dispatch(id, "s1", "t1", "run: touch begun; sleep 600").await.expect(202);
    eventually("it is at work", async || {
        (product.exec(id, "cat begun").await["exitCode"] == 0).then_some(())
    })
    .await;
    let path = format!("/v1/sandboxes/{id}");
    let body = json!({"maxLifetimeSeconds": 1});
    let change = product.request(reqwest::Method::PATCH, &path).json(&body);
    product.send(change).await.expect(200);
    let record = product.record(id, "s1", "t1").await;
    assert_eq!(
        (&record["state"], &record["error"]["code"]),
        (&json!("interrupted"), &json!("SANDBOX_STOPPED"))
    );
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_by_its_older_name_runs_too() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let body = json!({"message": "run: echo older", "sessionId": "s1"});
    let receipt =
        product.post(&format!("/v1/sandboxes/{id}/runtime/prompt"), body).await.expect(202);
    let turn = receipt["turnId"].as_str().unwrap();
    assert_eq!(product.record(&id, "s1", turn).await["state"], "completed");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_found_only_in_its_own_sandbox_and_mapped_to_one_user_only() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    product.map("s1", &id).await;
    product.map("s1", &id).await;
    let mapping = "/v1/session/s1/mapping";
    for (user, sandbox) in [("eve", &id), ("alice", &other)] {
        let body = json!({"userId": user, "sandboxId": sandbox});
        product.put(mapping, body).await.refused(409, "INVALID_STATE");
    }
    let gone = product.put(mapping, json!({"userId": "alice", "sandboxId": "sandbox-none"})).await;
    assert_eq!(gone.refused(404, "NOT_FOUND")["reprovisionRequired"], json!(true));
    product.dispatch(&id, "s1", "t1", "run: echo secret").await.expect(202);
    product.record(&id, "s1", "t1").await;
    let foreign = product.session_path(&other, "s1");
    for path in [foreign.clone(), format!("{foreign}/turns/t1"), format!("{foreign}/events")] {
        product.get(&path).await.refused(404, "NOT_FOUND");
    }
    product.dispatch(&other, "s1", "t2", "run: echo x").await.refused(409, "INVALID_STATE");
    product.dispatch("sandbox-none", "s9", "t", "x").await.refused(404, "NOT_FOUND");
    product.stop().await;
}
