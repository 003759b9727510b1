//! The bytes that the public TypeScript client sends, and what it reads of the answers.

use reqwest::{Method, header::CONTENT_TYPE};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::{Answer, Product};

/// As that client calls: a content type on every request, a body only where there is one.
async fn call(product: &Product, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = product.request(method, path).header(CONTENT_TYPE, "application/json");
    let body = body.map_or_else(String::new, |body| body.to_string());
    product.send(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_of_the_public_client_runs_as_it_stands() {
    let product = Product::start().await;
    // create(): with the client's own defaults.
    let body = json!({"image": "node:20", "maxLifetimeSeconds": 3600, "idleTimeoutSeconds": 900});
    let made = call(&product, Method::POST, "/v1/sandboxes", Some(body)).await.expect(201);
    // Anything but this makes the client throw in its own code.
    assert_eq!(made["status"], "running");
    let (id, connection) = (made["id"].as_str().unwrap(), &made["connection"]);
    let path = format!("/v1/sandboxes/{id}");

    // exec(): a look at the sandbox first, then straight to the sidecar.
    assert_eq!(call(&product, Method::GET, &path, None).await.expect(200)["status"], "running");
    let url = format!("{}/terminals/commands", connection["sidecarUrl"].as_str().unwrap());
    let token = connection["authToken"].as_str().unwrap();
    let request =
        product.http.post(url).bearer_auth(token).header(CONTENT_TYPE, "application/json");
    let exec = json!({"command": "echo hello && node -v || true", "timeout": 30_000});
    let answer = product.send(request.body(exec.to_string())).await.expect(200);
    assert_eq!(answer["success"], true);
    assert!(answer["result"]["stdout"].as_str().unwrap().starts_with("hello\n"));
    for field in ["exitCode", "stdout", "stderr", "duration"] {
        assert!(!answer["result"][field].is_null(), "{field}: {answer}");
    }

    // keepAlive(), stop(), resume(), list(), usage(), delete(), get().
    let keep_alive = Some(json!({"idleTimeoutSeconds": 1800}));
    call(&product, Method::PATCH, &path, keep_alive).await.expect(200);
    call(&product, Method::POST, &format!("{path}/stop"), None).await.expect(200);
    call(&product, Method::POST, &format!("{path}/resume"), None).await.expect(200);
    let listed = call(&product, Method::GET, "/v1/sandboxes?status=running&limit=10", None).await;
    let listed = listed.expect(200);
    let sandboxes = listed.as_array().or_else(|| listed["sandboxes"].as_array()).unwrap();
    assert_eq!(sandboxes[0]["id"], id);
    let usage = call(&product, Method::GET, "/usage", None).await.expect(200);
    for field in ["computeMinutes", "activeSandboxes", "totalSandboxes", "periodStart", "periodEnd"]
    {
        assert!(!usage[field].is_null(), "{field}: {usage}");
    }
    call(&product, Method::DELETE, &path, None).await.expect(200);
    call(&product, Method::GET, &path, None).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_the_public_client_can_ask_for_at_once_is_answered_in_its_vocabulary() {
    let product = Product::start().await;
    let key = product.secrets.api_key.expose_secret();
    assert!(key.starts_with("orch_prod_"));
    // All fields that can be had here, as that client spells them.
    let body = json!({
        "name": "all", "image": "node:20", "env": {"A": "b"}, "bare": false,
        "driver": {"type": "host-agent"},
        "backend": {"type": "demo", "profile": "careful", "server": {"port": 4096}},
        "permissions": {}, "resources": {"cpuCores": 1, "memoryMB": 512, "diskGB": 1},
        "sshEnabled": true, "sshPublicKey": "ssh-ed25519 AAAA", "webTerminalEnabled": true,
        "maxLifetimeSeconds": 3600, "idleTimeoutSeconds": 900, "secrets": [],
        "metadata": {"a": 1},
    });
    let made = call(&product, Method::POST, "/v1/sandboxes", Some(body)).await.expect(201);
    assert_eq!((&made["status"], &made["metadata"]), (&json!("running"), &json!({"a": 1})));
    assert_eq!(made["connection"]["ssh"], Value::Null, "so that the client says there is none");
    let warnings = made["warnings"].to_string();
    for name in ["image", "sshEnabled", "sshPublicKey", "webTerminalEnabled", "backend.server"] {
        assert!(warnings.contains(name), "{name}: {warnings}");
    }
    let id = made["id"].as_str().unwrap();
    assert_eq!(product.exec(id, "echo $A").await["stdout"], "b\n");
    product.stop().await;
}
