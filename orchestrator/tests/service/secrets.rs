//! Secrets in the environments of sandboxes, and how much of them there is room for.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Product;

/// The largest that is kept.
const LARGEST: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_never_grows_beyond_what_a_program_can_be_started_with() {
    let product = Product::start().await;
    let names: Vec<_> = (0..64).map(|number| format!("SECRET_{number}")).collect();
    for name in &names {
        let secret = json!({"name": name, "value": "x".repeat(LARGEST)});
        product.post("/v1/secrets", secret).await.expect(201);
    }
    let large = "x".repeat(72 * 1024);
    for body in [
        json!({"secrets": names}),
        json!({"secrets": names[..2]}),
        json!({"secrets": names[..1], "env": {"LARGE": large}}),
    ] {
        let refused = product.post("/v1/sandboxes", body).await.refused(400, "VALIDATION_ERROR");
        assert!(refused["message"].as_str().unwrap().contains("secrets"), "{refused}");
    }
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0, "nothing was made");

    // What fits, and grows until it does not.
    let change = async |name: &str, value: &str| {
        let path = format!("/v1/secrets/{name}");
        product.send(product.request(Method::PATCH, &path).json(&json!({"value": value}))).await
    };
    for name in &names[1..] {
        change(name, "small").await.expect(200);
    }
    let made = product.post("/v1/sandboxes", json!({"secrets": names})).await.expect(201);
    assert_eq!(made["warnings"], Value::Null);
    let path = format!("/v1/sandboxes/{}", made["id"].as_str().unwrap());
    let id = made["id"].as_str().unwrap();
    for name in &names {
        change(name, &"x".repeat(LARGEST)).await.expect(200);
    }
    product.post(&format!("{path}/stop"), json!({})).await.expect(200);
    assert_eq!(product.exec(id, "echo ${#SECRET_0} $SECRET_1").await["stdout"], "65536\n");
    let warnings = product.get(&path).await.expect(200)["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 63, "all but the first");
    assert!(warnings[0].as_str().unwrap().contains("the secret SECRET_1 "), "{}", warnings[0]);

    // One that is gone is named, too.
    product.delete("/v1/secrets/SECRET_0").await.expect(200);
    for name in &names[1..] {
        change(name, "small").await.expect(200);
    }
    product.post(&format!("{path}/stop"), json!({})).await.expect(200);
    assert_eq!(product.exec(id, "echo $SECRET_0 $SECRET_1").await["stdout"], "small\n");
    let warnings = product.get(&path).await.expect(200)["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1);
    assert!(warnings[0].as_str().unwrap().contains("the secret SECRET_0 "), "{warnings}");
    product.stop().await;
}
