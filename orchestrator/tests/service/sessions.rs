//! Agent sessions: made, listed, read back, deleted; and what there is to run them with.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Product, eventually};

fn ids(listed: &Value) -> Vec<String> {
    let sessions = listed["sessions"].as_array().unwrap().iter();
    sessions.map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_once_listed_and_gone_when_it_is_deleted() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    let path = format!("/v1/sandboxes/{id}/runtime/agents/sessions");
    let made = product.post(&path, json!({"sessionId": "s1"})).await.expect(201);
    assert_eq!((&made["id"], &made["state"]), (&json!("s1"), &json!("idle")));
    product.post(&path, json!({"sessionId": "s1"})).await.expect(200);
    let elsewhere = format!("/v1/sandboxes/{other}/runtime/agents/session");
    let taken = product.post(&elsewhere, json!({"sessionId": "s1"})).await;
    let words = taken.refused(409, "INVALID_STATE")["message"].to_string();
    assert!(words.contains("another sandbox: choose another id"), "{words}");
    product.post(&elsewhere, json!({"sessionId": "@s"})).await.refused(400, "VALIDATION_ERROR");
    let backend = json!({"backend": {"type": "skein"}});
    product.post(&elsewhere, backend).await.refused(501, "NOT_IMPLEMENTED");
    // The agent that works there may be named, also where the sandbox names none.
    let own = json!({"backend": {"type": "demo"}});
    let fresh = product.post(&elsewhere, own).await.expect(201);
    let fresh = fresh["id"].as_str().unwrap().to_owned();
    assert_eq!(ids(&product.get(&elsewhere).await.expect(200)), [fresh]);

    product.dispatch(&id, "s2", "t2", "run: sleep 60").await.expect(202);
    let listed = product.get(&path).await.expect(200);
    assert_eq!((ids(&listed), &listed["total"]), (vec!["s2".into(), "s1".into()], &json!(2)));
    assert_eq!(listed["sessions"][0]["activeExecutionId"], "t2");
    let second = product.get(&format!("{path}?limit=1&offset=1")).await.expect(200);
    assert_eq!(ids(&second), ["s1"]);

    // In the middle of its turn, under the eyes of a viewer.
    product.map("s2", &id).await;
    let mut viewer = product.viewer("s2", 0).await;
    product.delete(&format!("{path}/s2")).await.expect(200);
    assert_eq!(viewer.closed().await, 4404);
    product.get(&format!("{path}/s2")).await.refused(404, "NOT_FOUND");
    product.delete(&format!("{path}/s2")).await.refused(404, "NOT_FOUND");
    assert_eq!(ids(&product.get(&path).await.expect(200)), ["s1"]);
    // The name is free, and its log begins anew.
    product.dispatch(&id, "s2", "t2", "run: echo anew").await.expect(202);
    assert_eq!(product.record(&id, "s2", "t2").await["firstSeq"], 1);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_can_be_read_back_a_page_at_a_time() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = product.session_path(&id, "s1");
    product.get(&format!("{path}/messages")).await.refused(404, "NOT_FOUND");
    for turn in ["t1", "t2", "t3"] {
        product.dispatch(&id, "s1", turn, &format!("run: echo {turn}")).await.expect(202);
        product.record(&id, "s1", turn).await;
    }
    let all = product.get(&format!("{path}/messages")).await.expect(200);
    let messages = all["messages"].as_array().unwrap();
    let seen: Vec<_> = messages
        .iter()
        .map(|message| (message["info"]["role"].as_str(), message["info"]["turnId"].as_str()))
        .collect();
    let expected: Vec<_> = ["t1", "t2", "t3"]
        .into_iter()
        .flat_map(|turn| [(Some("user"), Some(turn)), (Some("assistant"), Some(turn))])
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(messages[0]["parts"], json!([{"type": "text", "text": "run: echo t1"}]));
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!(messages[1]["parts"], record["parts"]);
    assert_eq!(all["before"], Value::Null);

    let last = product.get(&format!("{path}/messages?limit=2")).await.expect(200);
    assert_eq!(last["messages"], json!(&messages[4..]));
    let before = last["before"].as_u64().unwrap();
    let rest = product.get(&format!("{path}/messages?before={before}")).await.expect(200);
    assert_eq!(rest["messages"], json!(&messages[..4]));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_a_turn_is_found_by_its_id_and_by_its_session() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = product.session_path(&id, "s1");
    let dispatch = json!({"message": "run: echo once >> count.txt"});
    let receipt = product.post(&format!("{path}/dispatch"), dispatch.clone()).await.expect(202);
    assert_eq!((&receipt["sessionId"], &receipt["alreadyExisted"]), (&json!("s1"), &json!(false)));
    let turn = receipt["turnId"].as_str().unwrap();
    let record = product.record(&id, "s1", turn).await;
    // The same session again never runs anything again.
    let again = product.post(&format!("{path}/dispatch"), dispatch).await.expect(200);
    assert_eq!((&again["alreadyExisted"], &again["state"]), (&json!(true), &json!("completed")));
    assert_eq!(receipt["processing"], json!(receipt["state"] == "running"), "{receipt}");
    assert_eq!(again["processing"], json!(false));
    assert_eq!(product.exec(&id, "cat count.txt").await["stdout"], "once\n");

    let turns = format!("/v1/sandboxes/{id}/runtime/agents/turns");
    assert_eq!(product.get(&format!("{turns}/{turn}")).await.expect(200), record);
    let elsewhere = format!("{turns}/{turn}?sessionId=s2");
    product.get(&elsewhere).await.refused(404, "NOT_FOUND");
    product.get(&format!("{turns}/none")).await.refused(404, "NOT_FOUND");

    let result = product.get(&format!("{path}/result")).await.expect(200);
    assert_eq!((&result["success"], &result["executionId"]), (&json!(true), &json!(turn)));
    assert_eq!(result["finalText"], record["finalText"]);
    let by_id = format!("{path}/result?executionId={turn}");
    assert_eq!(product.get(&by_id).await.expect(200), result);
    assert_eq!(product.get(&format!("{path}/plan")).await.expect(200), json!({"plan": null}));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_for_itself_brings_its_sandbox_and_takes_it_away() {
    let product = Product::start().await;
    let made = product.post("/v1/sessions", json!({"config": {"name": "own"}})).await.expect(201);
    let (sid, project) = (made["id"].as_str().unwrap(), made["projectId"].as_str().unwrap());
    let sandbox = format!("/v1/sandboxes/{project}");
    assert_eq!(product.get(&sandbox).await.expect(200)["name"], "own");
    let path = format!("/v1/sessions/{sid}");
    let said = json!({"message": "run: echo hello", "metadata": {"a": 1}});
    let receipt = product.post(&format!("{path}/message"), said).await.expect(200);
    assert_eq!((&receipt["sessionId"], &receipt["processing"]), (&json!(sid), &json!(true)));
    assert!(receipt["warnings"].to_string().contains("metadata"), "{receipt}");
    let request = product.request(Method::GET, &format!("{path}/events"));
    let first = product.events(request, 1).await;
    assert_eq!((first[0].0, first[0].1.as_str()), (1, "execution.started"));
    eventually("it has said it", async || {
        let session = product.get(&path).await.expect(200);
        (session["status"] == "idle").then_some(())
    })
    .await;
    // Another one in the same sandbox leaves it there.
    let guest = product.post("/v1/sessions", json!({"projectId": project})).await.expect(201);
    assert_eq!(guest["projectId"], project);
    let guest = format!("/v1/sessions/{}", guest["id"].as_str().unwrap());
    product.delete(&guest).await.expect(200);
    product.get(&guest).await.refused(404, "NOT_FOUND");
    product.get(&path).await.expect(200);
    product.delete(&path).await.expect(200);
    product.get(&path).await.refused(404, "NOT_FOUND");
    product.get(&sandbox).await.refused(404, "NOT_FOUND");
    for wrong in [json!({"projectId": "sandbox-none"}), json!({"projectId": "../x"})] {
        product.post("/v1/sessions", wrong).await.refused(404, "NOT_FOUND");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_to_run_turns_with_is_told_as_it_is() {
    let product = Product::start().await;
    let backend = json!({"backend": {"type": "demo"}});
    let made = product.post("/v1/sandboxes", backend).await.expect(201);
    let id = made["id"].as_str().unwrap();
    product.sandbox_is(id, "running").await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    let status = product.get(&format!("{runtime}/backend/status")).await.expect(200);
    assert_eq!((&status["type"], &status["status"]), (&json!("demo"), &json!("running")));
    let can = product.get(&format!("{runtime}/backend/capabilities")).await.expect(200);
    assert_eq!((&can["streaming"], &can["multimodal"]), (&json!(true), &json!(false)));
    let servers = product.get(&format!("{runtime}/backend/mcp")).await.expect(200);
    assert_eq!(servers, json!({"servers": {}}));
    assert_eq!(can["contextWindow"], 0, "as the demo has no model");
    let capabilities = product.get(&format!("{runtime}/capabilities")).await.expect(200);
    assert_eq!(capabilities["runs"]["eventReplay"], true);
    for (method, path) in [
        (Method::POST, "backend/mcp"),
        (Method::PATCH, "backend/config"),
        (Method::POST, "backend/restart"),
    ] {
        let request = product.request(method, &format!("{runtime}/{path}")).json(&json!({}));
        product.send(request).await.refused(501, "NOT_IMPLEMENTED");
    }
    let backends = product.get("/v1/backends").await.expect(200);
    let types: Vec<_> = backends["backends"].as_array().unwrap().iter().collect();
    assert!(types.iter().any(|backend| backend["type"] == "demo"));
    let demo = product.get("/v1/backends/demo").await.expect(200);
    assert_eq!((&demo["type"], &demo["available"]), (&json!("demo"), &json!(true)));
    product.get("/v1/backends/none").await.refused(404, "NOT_FOUND");
    let drivers = product.get("/drivers").await.expect(200);
    let capabilities = drivers["drivers"][0]["capabilities"].as_object().unwrap();
    for name in [
        "suspend",
        "snapshots",
        "volumes",
        "networks",
        "multiHost",
        "userManagement",
        "metrics",
        "migration",
    ] {
        assert!(capabilities[name].is_boolean(), "{name}");
    }
    product.stop().await;
}
