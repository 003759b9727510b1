//! Secrets.

use sandbox_sdk::types::{CreateSandbox, Exec, SandboxStatus};
use secrecy::{ExposeSecret, SecretString};

use super::client;
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_kept_for_environments_until_it_is_removed() {
    let product = Product::start().await;
    let client = client(&product);
    let secrets = client.secrets();
    let made = secrets.create("API_TOKEN", &SecretString::from("first")).await.unwrap();
    assert_eq!(made.name, "API_TOKEN");
    let again = secrets.create("API_TOKEN", &SecretString::from("other")).await;
    assert_eq!(again.unwrap_err().status(), Some(409));
    assert_eq!(secrets.list().await.unwrap(), [made]);
    secrets.update("API_TOKEN", &SecretString::from("second")).await.unwrap();
    let value = secrets.get("API_TOKEN").await.unwrap().unwrap();
    assert_eq!(value.expose_secret(), "second");

    let create = CreateSandbox { secrets: vec!["API_TOKEN".to_owned()], ..Default::default() };
    let id = client.sandboxes().create(&create).await.unwrap().id;
    let running = SandboxStatus::Running;
    client.sandboxes().wait_for(&id, running, Default::default()).await.unwrap();
    let exec = Exec { command: "echo $API_TOKEN".to_owned(), ..Exec::default() };
    assert_eq!(client.sandbox(&id).exec(&exec).await.unwrap().stdout, "second\n");

    for _ in 0..2 {
        secrets.delete("API_TOKEN").await.unwrap();
    }
    assert!(secrets.get("API_TOKEN").await.unwrap().is_none());
    assert!(secrets.list().await.unwrap().is_empty());
    product.stop().await;
}
