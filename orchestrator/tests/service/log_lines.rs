//! What is logged: that something happened, and nothing of what was said in it.

use std::fs;

use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::{Process, USER};

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_holds_a_credential_or_a_word_of_anybody() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let process = Process::start_logging(data.path(), &log).await;
    let product = &process.product;
    let made = product.post("/v1/sandboxes", json!({})).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let own = made["connection"]["authToken"].as_str().unwrap();
    let url = made["connection"]["sidecarUrl"].as_str().unwrap();
    let exec = json!({"command": "echo hidden-command"});
    let exec = product.http.post(format!("{url}/terminals/commands")).bearer_auth(own).json(&exec);
    product.send(exec).await.expect(200);
    let write = json!({"path": "hidden-name.txt", "content": "hidden-content"});
    let files = format!("/v1/sandboxes/{id}/runtime/files");
    product.post(&format!("{files}/write"), write).await.expect(200);
    product.post(&format!("{files}/read"), json!({"path": "/hidden-outside"})).await.expect(403);
    let secret = json!({"name": "KEPT", "value": "hidden-secret"});
    product.post("/v1/secrets", secret).await.expect(201);
    product.post("/v1/sandboxes", json!({"env": "hidden-mistake"})).await.expect(400);
    product.map("s1", id).await;
    product.dispatch(id, "s1", "t1", "run: echo hidden-words").await.expect(202);
    let record = product.record(id, "s1", "t1").await;
    assert!(record["finalText"].as_str().is_some(), "{record}");

    let read = product.token(USER, "s1");
    product.get(&format!("/session?token={read}")).await.expect(400);
    let mut viewer = product.viewer("s1", 0).await;
    viewer.until("done").await;
    drop(viewer);
    let wish = json!({"scope": "session-runtime", "sessionId": "s1"});
    let minted = product.post(&format!("/v1/sandboxes/{id}/tokens"), wish).await.expect(201);
    let minted = minted["token"].as_str().unwrap();
    let page = format!("{}/v1/sidecar-proxy/{id}/health?token={minted}", product.base);
    product.send(product.http.get(&page).bearer_auth(minted)).await.expect(200);
    product.send(product.http.get(&page).bearer_auth("hidden-guess")).await.expect(401);

    let (key, signing) = (&product.secrets.api_key, &product.secrets.signing_secret);
    let kept = [key.expose_secret().to_owned(), signing.expose_secret().to_owned()];
    let shown = [own.to_owned(), read, minted.to_owned(), "hidden-".to_owned()];
    let id = id.to_owned();
    assert!(process.terminate().await.success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(&id) && log.contains("answered"), "it is a log: {log}");
    let file = data.path().join("secrets.toml").canonicalize().unwrap();
    assert!(log.contains(file.to_str().unwrap()), "it says where the secrets are: {log}");
    assert!(!log.contains('\u{1b}'), "a file has no colours: {log}");
    for secret in kept.iter().chain(&shown) {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
}
