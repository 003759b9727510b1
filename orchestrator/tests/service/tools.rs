//! Tools of a sandbox, and its one user.

use serde_json::json;

use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_runs_with_its_arguments_exactly_as_they_are() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let tools = format!("/v1/sandboxes/{id}/runtime/tools");
    let listed = product.get(&tools).await.expect(200);
    for tool in listed["tools"].as_array().unwrap() {
        assert!(
            tool["path"].as_str().unwrap().starts_with('/') && tool["active"] == true,
            "{tool}"
        );
        let body = json!({"tool": tool["name"], "version": tool["version"]});
        product.post(&format!("{tools}/use"), body).await.expect(200);
    }
    let run = format!("{tools}/run");
    let body = json!({"tool": "printf", "args": ["%s|", "$HOME", "a b", "; false", ""]});
    let ran = product.post(&run, body).await.expect(200);
    assert_eq!((&ran["exitCode"], &ran["stdout"]), (&json!(0), &json!("$HOME|a b|; false||")));
    let missing = product.post(&run, json!({"tool": "no-such-tool"})).await.expect(200);
    assert_eq!(missing["exitCode"], 127);
    for body in [
        json!({"tool": "/bin/sh"}),
        json!({"tool": "-c"}),
        json!({"tool": ""}),
        json!({"tool": "printf", "args": ["a\0b"]}),
        json!({"tool": "printf", "args": vec!["x"; 20_000]}),
        json!({"tool": "printf", "args": "x"}),
    ] {
        product.post(&run, body).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_user_may_do_everything_and_can_not_be_changed() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let user = format!("/v1/sandboxes/{id}/runtime/permissions/users/agent");
    assert_eq!(product.get(&user).await.expect(200)["role"], "owner");
    let rules = product.get(&format!("{user}/policies")).await.expect(200);
    assert_eq!(rules["rules"], json!([{"pattern": "**", "permission": "write"}]));
    for path in [format!("{user}/policies"), user] {
        product.put(&path, json!({})).await.refused(501, "NOT_IMPLEMENTED");
        product.delete(&path).await.refused(501, "NOT_IMPLEMENTED");
    }
    product.stop().await;
}
