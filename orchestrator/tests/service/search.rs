//! Search in a sandbox's files.

use serde_json::{Value, json};

use crate::support::{Answer, Product};

async fn search(product: &Product, id: &str, body: Value) -> Answer {
    product.post(&format!("/v1/sandboxes/{id}/runtime/search"), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_found_with_their_places_and_surroundings() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let made = "mkdir -p src/deep node_modules && printf 'one\\nä Needle\\nthree\\n' > src/deep/a.rs \
                && printf 'needle needle\\n' > b.txt && cp b.txt node_modules/c.txt \
                && printf 'needle\\0' > binary && mkfifo pipe && ln -s /etc link && ln -s b.txt too";
    assert_eq!(product.exec(&id, made).await["exitCode"], 0);
    let found = search(&product, &id, json!({"pattern": "needle"})).await.expect(200);
    let expected = json!([{"path": "b.txt", "line": 1, "column": 1, "text": "needle needle"}]);
    assert_eq!((&found["matches"], &found["truncated"]), (&expected, &json!(false)));
    let body = json!({"pattern": "n[e]+dle", "glob": "deep/*.{rs,ts}", "cwd": "src",
        "ignoreCase": true, "context": 1});
    let found = search(&product, &id, body).await.expect(200);
    let expected = json!([{"path": "deep/a.rs", "line": 2, "column": 3, "text": "ä Needle",
        "before": ["one"], "after": ["three"]}]);
    assert_eq!(found["matches"], expected);
    assert_eq!(found.get("warnings"), None);
    // A path is told from where was searched.
    let copied = "mkdir -p /tmp/far/src && cp src/deep/a.rs /tmp/far/src";
    assert_eq!(product.exec(&id, copied).await["exitCode"], 0);
    for (cwd, path) in [
        ("/workspace", "src/deep/a.rs"),
        ("src/deep", "a.rs"),
        ("src/deep/a.rs", "a.rs"),
        ("/tmp/far", "src/a.rs"),
    ] {
        let found = search(&product, &id, json!({"pattern": "Needle", "cwd": cwd})).await;
        assert_eq!(found.expect(200)["matches"][0]["path"], path, "{cwd}");
    }
    let body = json!({"pattern": "needle", "path": "src", "maxCount": 1});
    let found = search(&product, &id, body).await.expect(200);
    let warned =
        ["maxCount", "path"].map(|name| format!("{name} is not known here and was passed over"));
    assert_eq!(found["warnings"], json!(warned));
    let body = json!({"pattern": ".", "cwd": "src", "maxResults": 2});
    let found = search(&product, &id, body).await.expect(200);
    assert_eq!(
        (found["matches"].as_array().unwrap().len(), &found["truncated"]),
        (2, &json!(true))
    );
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pattern_and_no_tree_takes_long_and_nothing_outside_is_searched() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let made = "head -c 3000000 /dev/zero | tr '\\0' a > line; ln -s /proc proc; \
                python3 - <<'E' 2> /dev/null || true\n\
                import os\nfor _ in range(300):\n os.mkdir('d')\n os.chdir('d')\nE";
    assert_eq!(product.exec(&id, made).await["exitCode"], 0);
    for pattern in ["(a+)+$b", "(a|aa)+$b", "(.*)*(.*)*b"] {
        let found = search(&product, &id, json!({"pattern": pattern})).await.expect(200);
        assert_eq!(found["matches"], json!([]), "{pattern}");
    }
    let long = "x".repeat(1001);
    for body in [
        json!({"pattern": ""}),
        json!({"pattern": "("}),
        json!({"pattern": long}),
        json!({"pattern": r"(\w{1000}){1000}"}),
        json!({"pattern": "a", "glob": "{a,b}".repeat(40)}),
        json!({"pattern": "a", "glob": "["}),
        json!({"pattern": "a", "maxResults": 0}),
        json!({"pattern": "a", "context": 1000}),
        json!({"pattern": "a", "cwd": "none such"}),
        json!({"pattern": "a", "cwd": "a\0b"}),
    ] {
        search(&product, &id, body).await.refused(400, "VALIDATION_ERROR");
    }
    for outside in ["/etc", "proc", "../.."] {
        let answer = search(&product, &id, json!({"pattern": "a", "cwd": outside})).await;
        answer.refused(403, "FORBIDDEN");
    }
    product.stop().await;
}
