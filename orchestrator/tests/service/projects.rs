//! `/projects`: sandboxes under their older name are checked, made and kept like all others.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::Product;

async fn start(data: &Path) -> Product {
    Product::start_with(|config| config.data = data.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_project_asks_for_is_in_force_before_and_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let product = start(data.path()).await;
    let body = json!({
        "projectRef": "mine",
        "config": {"name": "config", "maxLifetimeSeconds": 600, "env": {"A": "c"}},
        "name": "mine", "env": {"A": "p", "B": "p"}, "resources": {"diskGB": 0.1},
        "container": {"env": {"B": "c"}, "idleTimeoutSeconds": 60, "secrets": []},
    });
    product.post("/projects", body.clone()).await.expect(201);
    let look = async |product: &Product| {
        let sandbox = product.get("/v1/sandboxes/mine").await.expect(200);
        assert_eq!((&sandbox["name"], &sandbox["warnings"]), (&json!("mine"), &Value::Null));
        assert!(sandbox["expiresAt"].is_string());
        assert_eq!(product.exec("mine", "echo $A $B").await["stdout"], "p c\n");
        // The largest file: no larger than the disk.
        let largest = product.exec("mine", "ulimit -f").await["stdout"].clone();
        (sandbox["expiresAt"].clone(), largest)
    };
    let before = look(&product).await;
    let plain = product.sandbox().await;
    assert_ne!(product.exec(&plain, "ulimit -f").await["stdout"], before.1);
    product.stop().await;
    let product = start(data.path()).await;
    assert_eq!(look(&product).await, before);
    product.post("/projects", body).await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_checked_wherever_a_field_stands_in_it() {
    let product = Product::start().await;
    for bad in [
        json!({"env": {"LD_PRELOAD": "/workspace/evil.so"}}),
        json!({"resources": {"memoryMB": 1}}),
        json!({"secrets": ["NONE_SUCH"]}),
        json!({"maxLifetimeSeconds": 0}),
        json!({"name": ""}),
        json!({"idleTimeoutSeconds": "soon"}),
        json!({"privileged": true}),
    ] {
        let mut bodies = vec![json!({"container": bad}), json!({"container": {}, "config": bad})];
        let mut flat = bad.clone();
        flat["container"] = json!({});
        bodies.push(flat);
        for body in bodies {
            let answer = product.post("/projects", body.clone()).await;
            assert_eq!(answer.status, 400, "{body}");
            answer.refused(400, "VALIDATION_ERROR");
        }
    }
    let odd = json!({"container": {}, "config": ["a"]});
    product.post("/projects", odd).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0, "nothing was made");
    product.stop().await;
}
