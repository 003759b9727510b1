//! The signing secret is changed while tokens of the old one are about.

use std::path::Path;

use orchestrator::Secrets;
use serde_json::json;

use crate::support::Product;

/// Far beyond any test, in milliseconds since the Unix epoch.
const LATER: i64 = 4_000_000_000_000;

/// An orchestrator on the folder; with a new signing secret if the old one has an end.
async fn started(data: &Path, old_ends: Option<i64>) -> Product {
    Product::start_with(|config| {
        config.data = data.to_owned();
        if old_ends.is_some() {
            let old = Secrets::load_or_create(data).unwrap().signing_secret;
            config.signing_secret = Some("n".repeat(40).into());
            config.previous_signing_secret = Some(old);
            config.previous_signing_secret_expires_at = old_ends;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_secret_signed_is_good_until_its_end_and_no_longer() {
    let data = tempfile::tempdir().unwrap();
    let product = started(data.path(), None).await;
    let sandbox = product.sandbox().await;
    product.map("s", &sandbox).await;
    let wish = json!({"scope": "read-only"});
    let minted = product.post(&format!("/v1/sandboxes/{sandbox}/tokens"), wish).await.expect(201);
    let token = minted["token"].as_str().unwrap().to_owned();
    product.stop().await;
    for (old_ends, first_frame, status) in
        [(LATER, "connection.established", 200), (1, "error", 401)]
    {
        let product = started(data.path(), Some(old_ends)).await;
        // The product still signs with the secret of the file, which is the old one now.
        let mut viewer = product.viewer("s", 0).await;
        assert_eq!(viewer.next().await.unwrap()["type"], json!(first_frame));
        drop(viewer);
        let url = format!("{}/v1/sidecar-proxy/{sandbox}/health", product.base);
        let answer = product.send(product.http.get(url).bearer_auth(&token)).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        product.stop().await;
    }
}
