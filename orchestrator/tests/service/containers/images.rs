//! What a container is made of.

use serde_json::{Value, json};

use super::engine::{EMPTY, Engine, IMAGE};
use crate::support::{Answer, Product, eventually};

on_every_engine!(
    an_image_that_is_not_there_is_refused_with_the_way_out,
    an_image_with_nothing_to_run_fails_in_words,
);

async fn make(product: &Product, body: Value) -> Answer {
    product.post("/v1/sandboxes", body).await
}

async fn an_image_that_is_not_there_is_refused_with_the_way_out(engine: &Engine) {
    let product = engine.product().await;
    let refused = make(&product, json!({"image": "skein-test:none"})).await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    let words = refused["message"].as_str().unwrap();
    assert!(words.contains("skein-test:none") && words.contains("pull"), "{words}");
    // Neither an option of the engine's program nor anything else than one name.
    let other = format!("{IMAGE}@sha256:{}", "0".repeat(64));
    make(&product, json!({"image": other})).await.refused(400, "VALIDATION_ERROR");
    for name in ["--privileged", "-v/:/host", "a b", "a\nb", "$(id)", "a;b", "a,b", "../a"] {
        make(&product, json!({"image": name})).await.refused(400, "VALIDATION_ERROR");
    }
    let listed = product.get("/v1/sandboxes").await.expect(200);
    assert_eq!(listed["total"], 0, "nothing was made of them: {listed}");
    let made = make(&product, json!({"image": IMAGE})).await.expect(201);
    assert_eq!(made["warnings"], Value::Null, "{made}");
    product.stop().await;

    let product = Product::start_with(|config| {
        engine.set(config);
        config.containers.image = None;
        config.containers.pull_images = true;
    })
    .await;
    // Places on this machine, to Podman.
    for name in ["dir:/etc", "docker-archive:/etc/passwd", "docker://skein-test"] {
        make(&product, json!({"image": name})).await.refused(400, "VALIDATION_ERROR");
    }
    let refused = make(&product, json!({})).await.refused(400, "VALIDATION_ERROR");
    assert!(refused["message"].as_str().unwrap().contains("SKEIN_IMAGE"), "{refused}");
    product.stop().await;
}

async fn an_image_with_nothing_to_run_fails_in_words(engine: &Engine) {
    let product = engine.product().await;
    let made = make(&product, json!({"image": EMPTY})).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/sandboxes/{id}");
    let sandbox = eventually("it runs or has failed", async || {
        let sandbox = product.get(&path).await.expect(200);
        ["running", "failed"].iter().any(|status| sandbox["status"] == *status).then_some(sandbox)
    })
    .await;
    if sandbox["status"] == "failed" {
        assert!(sandbox["error"].as_str().is_some_and(|words| !words.is_empty()), "{sandbox}");
    } else {
        // The sidecar brings what it needs itself.
        let write = json!({"path": "file", "content": "text"});
        product.post(&format!("{path}/runtime/files/write"), write).await.expect(200);
        let command = json!({"command": "echo hello"});
        let answer = product.post(&format!("{path}/runtime/terminals/commands"), command).await;
        let words = [&answer.body["message"], &answer.body["result"]["stderr"]];
        let words: Vec<_> = words.iter().filter_map(|words| words.as_str()).collect();
        assert!(words.iter().any(|words| !words.is_empty()), "{answer:?}");
        assert_ne!(answer.body["result"]["exitCode"], 0, "{answer:?}");
    }
    product.delete(&path).await.expect(200);
    eventually("its containers are gone", async || {
        engine.containers(id).await.is_empty().then_some(())
    })
    .await;
    product.stop().await;
}
