//! Agents and models, as a product sees them.

use std::{
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, routing::post};
use sandbox_sdk::client::{Client, ClientConfig};
use scripted_model::{ScriptedModel, Usage};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::Product;

const KEY: &str = "sk-service-0123456789-secret";

async fn with_model(model: &ScriptedModel) -> Product {
    let url = model.url();
    Product::start_with(|config| {
        config.models.model_url = Some(url);
        config.models.model_key = Some(KEY.into());
    })
    .await
}

fn dispatch(turn: &str, backend: Value) -> Value {
    json!({"turnId": turn, "parts": [{"type": "text", "text": "hello"}], "backend": backend})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_tells_what_there_is_and_is_for_the_product_alone() {
    let model = ScriptedModel::start().await.unwrap();
    let product = with_model(&model).await;
    let key = product.secrets.api_key.expose_secret().to_owned();
    let client = Client::new(ClientConfig::new(&product.base, key)).unwrap();
    let catalog = client.agents().await.unwrap();
    assert_eq!(catalog.default_model.as_deref(), Some("custom/scripted-1"));
    assert!(catalog.agents.iter().any(|agent| agent.id == "demo" && agent.formats.is_empty()));
    assert!(catalog.models.iter().any(|model| model.id == "scripted-2"));
    let nobody = product.http.get(format!("{}/v1/agents", product.base));
    product.send(nobody).await.refused(401, "AUTH_ERROR");
    let text = product.get("/v1/agents").await.expect(200).to_string();
    assert!(!text.contains(KEY) && !text.contains(&model.url()), "{text}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_available_is_refused_with_the_reason_and_leaves_no_turn() {
    let model = ScriptedModel::start().await.unwrap();
    let product = with_model(&model).await;
    let id = product.sandbox().await;
    let path = format!("{}/messages", product.session_path(&id, "s1"));
    for (backend, reason) in [
        (json!({"type": "nobody"}), "AGENT_NOT_AVAILABLE"),
        (
            json!({"type": "skein", "model": {"provider": "nobody", "model": "x"}}),
            "MODEL_NOT_FOUND",
        ),
        (
            json!({"type": "skein", "model": {
                "provider": "custom", "model": "x", "apiKey": "sk-own",
                "baseUrl": "http://169.254.169.254/"
            }}),
            "MODEL_NOT_FOUND",
        ),
    ] {
        let answer = product.post(&path, dispatch("t1", backend)).await;
        let body = answer.refused(400, "VALIDATION_ERROR");
        assert_eq!(body["reason"], reason, "{body}");
        assert!(!body.to_string().contains("sk-own"));
    }
    // The demo agent is there for who asks for it, and known once it ran.
    product.post(&path, dispatch("t1", json!({"type": "demo"}))).await.expect(202);
    assert_eq!(product.record(&id, "s1", "t1").await["model"], "demo");
    let again = product.post(&path, dispatch("t1", json!({"type": "nobody"}))).await.expect(200);
    assert_eq!(again["alreadyExisted"], json!(true));
    assert!(model.requests().is_empty());
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_running_sandbox_has_a_door_of_its_own_to_the_gateway() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_owned();
    let product = Product::start_with(move |config| config.data = folder).await;
    let id = product.sandbox().await;
    let door = data.path().join("orchestrator/sandboxes").join(&id).join("run/models.sock");
    assert!(std::fs::metadata(&door).unwrap().file_type().is_socket());
    std::os::unix::net::UnixStream::connect(&door).unwrap();
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    crate::support::eventually("the door closes with the sandbox", async || {
        std::os::unix::net::UnixStream::connect(&door).err()
    })
    .await;
    product.post(&format!("/v1/sandboxes/{id}/resume"), json!({})).await.expect(200);
    std::os::unix::net::UnixStream::connect(&door).unwrap();
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_billed_from_what_the_provider_says_it_used() {
    let model = ScriptedModel::start().await.unwrap();
    let product = with_model(&model).await;
    let id = product.sandbox().await;
    let record = ask(&product, &id, "t1", "RUN[echo real > proof.txt] SAY[Done.]", json!({})).await;
    assert_eq!((&record["state"], &record["finalText"]), (&json!("completed"), &json!("Done.")));
    assert_eq!(record["model"], "custom/scripted-1");
    assert_eq!(product.exec(&id, "cat proof.txt").await["stdout"], "real\n");

    let requests = model.requests();
    assert_eq!(requests.len(), 2, "the call, and what came of it");
    assert!(requests.iter().all(|request| request.key.as_deref() == Some(KEY)));
    let sum =
        |of: fn(&Usage) -> u64| requests.iter().map(|request| of(&request.usage)).sum::<u64>();
    let usage = &record["tokenUsage"];
    assert_eq!(usage["inputTokens"], json!(sum(|usage| usage.input)), "{record}");
    assert_eq!(usage["outputTokens"], json!(sum(|usage| usage.output)));
    assert_eq!(usage["cacheReadInputTokens"].as_u64().unwrap_or(0), sum(|usage| usage.cache_read));
    assert_eq!(usage["requests"], json!(2));
    let told = record["requests"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{record}");
    for (told, seen) in told.iter().zip(&requests) {
        assert_eq!((&told["status"], &told["format"]), (&json!(200), &json!("chat-completions")));
        assert_eq!((&told["estimated"], &told["complete"]), (&json!(false), &json!(true)));
        assert_eq!(told["model"], "custom/scripted-1");
        assert!(told["at"].as_i64() >= record["startedAt"].as_i64(), "{record}");
        assert!(told["durationMs"].is_u64(), "{record}");
        let tokens = &told["tokenUsage"];
        assert_eq!(tokens["inputTokens"], json!(seen.usage.input), "{record}");
        assert_eq!(tokens["outputTokens"], json!(seen.usage.output), "{record}");
    }
    let log = product.log(&id, "s1").await;
    for kind in ["result", "done"] {
        let (_, _, event) = log.iter().find(|event| event.1 == kind).unwrap();
        assert_eq!(&event["tokenUsage"], usage, "{kind}");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stays_outside_of_the_sandbox_and_of_what_is_kept() {
    const OWN: &str = "sk-callers-own-9876543210";
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_owned();
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let product = Product::start_with(move |config| {
        config.data = folder;
        config.models.model_url = Some(url);
        config.models.model_key = Some(KEY.into());
    })
    .await;
    let id = product.sandbox().await;
    let look = "RUN[env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; \
                grep -rs sk- /home /workspace /tmp /opt /run] SAY[Done.]";
    let own = json!({"provider": "custom", "model": "m-1", "apiKey": OWN, "baseUrl": model.url()});
    for (turn, choice) in [("t1", json!({})), ("t2", own)] {
        let record = ask(&product, &id, turn, look, choice).await;
        assert_eq!(record["state"], "completed", "{record}");
        let output = record["parts"].to_string();
        // What it looked at was there.
        assert!(output.contains("HOME=/home/agent"), "{output}");
        for key in [KEY, OWN] {
            assert!(!output.contains(key), "{output}");
        }
    }
    let used: Vec<_> = model.requests().into_iter().filter_map(|request| request.key).collect();
    assert_eq!(used, [KEY, KEY, OWN, OWN]);
    product.stop().await;
    for file in files_below(data.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for key in [KEY, OWN] {
            let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_ends_when_its_means_do_and_says_so() {
    let model = ScriptedModel::start().await.unwrap();
    let product = with_model(&model).await;
    let id = product.sandbox().await;
    // One for each token that is written: the second answer takes more than is left.
    let prices = json!({"amount": 20_000, "input": 0, "output": 1_000_000, "cacheRead": 0,
        "cacheWrite": 0});
    let prompt = "USAGE[10,15000] RUN[touch first] RUN[touch second] SAY[Done.]";
    let mut body = dispatch("t1", backend(json!({})));
    body["parts"][0]["text"] = json!(prompt);
    body["limits"] = json!({ "maxCost": prices });
    product.post(&format!("{}/messages", product.session_path(&id, "s1")), body).await.expect(202);
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!(record["state"], "failed", "{record}");
    assert_eq!(record["error"]["code"], "OUT_OF_CREDITS", "{record}");
    assert!(record["tokenUsage"]["outputTokens"].as_u64().unwrap() >= 15_000, "{record}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_deleted_while_its_model_answers_is_billed_for_it() {
    let told = Arc::<Mutex<Vec<Value>>>::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let take = async |State(told): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>| {
        told.lock().unwrap().push(body);
    };
    let app = Router::new().route("/hook", post(take)).with_state(told.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let product = Product::start_with(|config| {
        config.models.model_url = Some(url);
        config.models.model_key = Some(KEY.into());
        config.webhook_url = Some(hook);
    })
    .await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let mut body = dispatch("t1", backend(json!({})));
    body["parts"][0]["text"] = json!("LONG[2000] SLOW[50]");
    product.post(&format!("{}/messages", product.session_path(&id, "s1")), body).await.expect(202);
    let mut viewer = product.viewer("s1", 0).await;
    for _ in 0..30 {
        viewer.event().await.unwrap();
    }
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    let last = viewer.until("done").await;
    assert_eq!(last.last().unwrap().data["outcome"], "interrupted");
    let told = crate::support::eventually("the webhook comes", async || {
        told.lock().unwrap().first().cloned()
    })
    .await;
    assert_eq!(told["data"]["outcome"], "interrupted", "{told}");
    let usage = &told["data"]["tokenUsage"];
    assert!(usage["outputTokens"].as_u64().unwrap() > 0, "{told}");
    assert!(usage["inputTokens"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(&last.last().unwrap().data["tokenUsage"], usage);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_whose_provider_refuses_says_why_in_words() {
    let model = ScriptedModel::start().await.unwrap();
    let product = with_model(&model).await;
    let id = product.sandbox().await;
    for (turn, code, reason) in [("t1", 401, "MODEL_KEY_REFUSED"), ("t2", 404, "MODEL_NOT_FOUND")] {
        let record = ask(&product, &id, turn, &format!("FAIL[{code}]"), json!({})).await;
        assert_eq!(
            (&record["state"], &record["error"]["code"]),
            (&json!("failed"), &json!(reason))
        );
        let words = record["error"]["message"].as_str().unwrap();
        assert!(words.contains("custom") && !words.contains(KEY), "{words}");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_told_how_long_it_may_think() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let product = Product::start_with(|config| config.models.anthropic_base_url = Some(url)).await;
    let id = product.sandbox().await;
    let choice = json!({"model": "anthropic/scripted-1", "maxThinkingTokens": 2048});
    let record = ask(&product, &id, "t1", "SAY[Well.]", choice).await;
    assert_eq!(record["state"], "completed", "{record}");
    assert_eq!(model.requests()[0].body["thinking"]["budget_tokens"], 2048);
    product.stop().await;
}

fn backend(model: Value) -> Value {
    json!({ "type": "skein", "model": model })
}

/// Asks the built-in agent. The record of the turn, once it has ended.
async fn ask(product: &Product, sandbox: &str, turn: &str, text: &str, model: Value) -> Value {
    let mut body = dispatch(turn, backend(model));
    body["parts"][0]["text"] = json!(text);
    let path = format!("{}/messages", product.session_path(sandbox, "s1"));
    product.post(&path, body).await.expect(202);
    product.record(sandbox, "s1", turn).await
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let below = entries.flat_map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => files_below(&entry.path()),
        kind if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    });
    below.collect()
}
