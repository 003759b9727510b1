//! Agents and models, as a product sees them.

use std::os::unix::fs::FileTypeExt;

use sandbox_sdk::client::{Client, ClientConfig};
use scripted_model::ScriptedModel;
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
