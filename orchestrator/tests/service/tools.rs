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
    let shell = ["-c", r#"printf '%s|' "$@""#, "bash"];
    let args = [&shell[..], &["$HOME", "a b", "; false", ""]].concat();
    let body = json!({"tool": "bash", "args": args});
    let ran = product.post(&run, body).await.expect(200);
    assert_eq!((&ran["exitCode"], &ran["stdout"]), (&json!(0), &json!("$HOME|a b|; false||")));
    // What is not listed is not run, either, as it can't be installed or used.
    for tool in ["no-such-tool", "printf", "/bin/bash", "../bin/bash", "-c", ""] {
        for path in ["run", "install", "use"] {
            let body = json!({"tool": tool, "version": ""});
            let refused = product.post(&format!("{tools}/{path}"), body).await;
            let refused = refused.refused(501, "NOT_IMPLEMENTED");
            assert_eq!(
                (&refused["feature"], &refused["reason"]),
                (&json!("tools"), &refused["message"])
            );
        }
    }
    for body in [
        json!({"tool": "bash", "args": ["a\0b"]}),
        json!({"tool": "bash", "args": vec!["x"; 20_000]}),
        json!({"tool": "bash", "args": "x"}),
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
    let check = format!("{user}/check");
    for (path, allowed) in [
        ("/workspace/a/b", true),
        ("notes.md", true),
        ("/home/agent/.profile", true),
        ("/tmp/x", true),
        ("/etc/passwd", false),
        ("../etc/passwd", false),
        ("/workspace/../root", false),
    ] {
        for action in ["read", "write"] {
            let asked = json!({"path": path, "action": action});
            let told = product.post(&check, asked).await.expect(200);
            assert_eq!(told, json!({"allowed": allowed}), "{action} {path}");
        }
    }
    for bad in [json!({"path": ""}), json!({"path": "a", "action": "none"}), json!({"path": "a"})] {
        product.post(&check, bad).await.refused(400, "VALIDATION_ERROR");
    }
    for path in [format!("{user}/policies"), user] {
        product.put(&path, json!({})).await.refused(501, "NOT_IMPLEMENTED");
        product.delete(&path).await.refused(501, "NOT_IMPLEMENTED");
    }
    product.stop().await;
}
