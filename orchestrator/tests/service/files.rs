//! Files and folders of a sandbox, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Product;

/// The `data` of an answer.
fn data(answer: Value) -> Value {
    assert_eq!(answer["success"], true, "{answer}");
    answer["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_made_listed_looked_at_and_removed() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    product.post(&fs("mkdir/workspace/a/b"), json!({})).await.refused(404, "NOT_FOUND");
    let made = fs("mkdir/workspace/a/b?recursive=true&parents=1");
    let made = data(product.post(&made, json!({"mode": "0700"})).await.expect(200));
    let warned =
        ["parents", "mode"].map(|name| format!("{name} is not known here and was passed over"));
    assert_eq!(made["warnings"], json!(warned));
    product.post(&fs("mkdir/workspace/a"), json!({})).await.refused(409, "INVALID_STATE");
    let deep = json!({"recursive": true, "mode": 493});
    let made = data(product.post(&fs("mkdir/workspace/d/e"), deep.clone()).await.expect(200));
    assert_eq!(made["warnings"], json!(["mode is not known here and was passed over"]));
    product.post(&fs("mkdir/workspace/f/g?recursive=false"), deep).await.refused(404, "NOT_FOUND");
    product.exec(&id, "printf x > a/.hidden; printf 12345 > 'a/n ü'; ln -s /etc a/link").await;
    let listed = data(product.get(&fs("list/workspace/a")).await.expect(200));
    assert_eq!(names(&listed), ["b", "link", "n ü"]);
    let (folder, link, file) =
        (&listed["entries"][0], &listed["entries"][1], &listed["entries"][2]);
    assert_eq!((&folder["isDir"], &folder["isFile"]), (&json!(true), &json!(false)));
    assert_eq!((&link["isSymlink"], &link["isDir"]), (&json!(true), &json!(false)));
    assert_eq!((&file["size"], &file["path"]), (&json!(5), &json!("/workspace/a/n ü")));
    assert_eq!((&file["permissions"], &file["owner"]), (&json!(0o644), &json!("agent")));
    assert!(file["modTime"].as_str().unwrap().ends_with('Z'));
    let all = data(product.get(&fs("list/workspace/a?all=true&long=true")).await.expect(200));
    assert_eq!(all["entries"].as_array().unwrap().len(), 4);
    let stat = data(product.get(&fs("stat/workspace/a/n%20%C3%BC")).await.expect(200));
    assert_eq!(&stat, file);
    for (path, there) in [("a/link", true), ("a/none", false), ("a/.hidden/x", false)] {
        let exists = data(product.get(&fs(&format!("exists/workspace/{path}"))).await.expect(200));
        assert_eq!(exists, json!({"exists": there}), "{path}");
    }
    product.delete(&fs("workspace/a")).await.refused(409, "INVALID_STATE");
    product.delete(&fs("workspace/a?recursive=maybe")).await.refused(400, "VALIDATION_ERROR");
    product.delete(&fs("workspace/a?recursive=true")).await.expect(200);
    product.delete(&fs("workspace/a")).await.refused(404, "NOT_FOUND");
    assert_eq!(product.exec(&id, "ls -A; ls /etc | wc -l").await["exitCode"], 0);
    // What is above the home folder may be looked at.
    let homes = data(product.get(&fs("list/home")).await.expect(200));
    assert!(names(&homes).contains(&"agent"), "{homes}");
    product.get(&fs("list/etc")).await.refused(403, "FORBIDDEN");
    product.stop().await;
}

fn names(listing: &Value) -> Vec<&str> {
    let entries = listing["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_reads_what_it_can_and_says_what_it_can_not() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let files = format!("/v1/sandboxes/{id}/runtime/files");
    let write = json!({"path": "bin", "content": "AP8=", "encoding": "base64", "mode": "0750"});
    product.post(&format!("{files}/write"), write).await.expect(200);
    assert_eq!(product.exec(&id, "stat -c %a bin").await["stdout"], "750\n");
    let again = json!({"path": "bin", "content": "AP8A", "encoding": "base64"});
    product.post(&format!("{files}/write"), again).await.expect(200);
    assert_eq!(product.exec(&id, "stat -c %a-%s bin").await["stdout"], "750-3\n");
    for mode in [json!("4755"), json!(4096), json!("rwx")] {
        let write = json!({"path": "bin", "content": "", "mode": mode});
        product.post(&format!("{files}/write"), write).await.refused(400, "VALIDATION_ERROR");
    }
    product.exec(&id, "printf hi > text; mkfifo fifo; truncate -s 11M large").await;
    let paths = ["text", "none", "bin", "fifo", "/etc/passwd", "large"];
    let read = json!({"paths": paths, "encoding": "base64"});
    let read = data(product.post(&format!("{files}/read-batch"), read).await.expect(200));
    let of = |list: &str, field: &str| -> Vec<Value> {
        read[list].as_array().unwrap().iter().map(|entry| entry[field].clone()).collect()
    };
    assert_eq!(of("files", "content"), ["aGk=", "AP8A"]);
    assert_eq!(of("files", "size"), [2, 3]);
    assert_eq!(
        of("errors", "code"),
        ["NOT_FOUND", "VALIDATION_ERROR", "FORBIDDEN", "PAYLOAD_TOO_LARGE"]
    );
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_a_route_is_decoded_once() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    let put = |path: &str, text: &'static str| {
        product.send(product.request(Method::PUT, &fs(&format!("upload/{path}"))).body(text))
    };
    let long = "x".repeat(255);
    let long_path = format!("workspace/{long}");
    for (path, name) in [
        ("workspace/with%20space", "with space"),
        ("workspace/100%", "100%"),
        ("workspace/%252e", "%2e"),
        ("workspace/line%0Abreak", "line\nbreak"),
        ("workspace/%C3%BC", "ü"),
        (long_path.as_str(), long.as_str()),
    ] {
        let written = data(put(path, "content").await.expect(200));
        assert_eq!(written["path"], format!("/workspace/{name}"));
        let read = product.request(Method::GET, &fs(&format!("download/{path}")));
        assert_eq!(product.send(read).await.body, "content", "{path}");
        product.delete(&fs(path)).await.expect(200);
    }
    put(&format!("workspace/{long}x"), "").await.refused(400, "VALIDATION_ERROR");
    put("workspace/a%FFb", "").await.refused(400, "VALIDATION_ERROR");
    put("workspace/a%00b", "").await.refused(400, "VALIDATION_ERROR");
    put("workspace/..%2F..%2Fetc%2Fx", "").await.refused(403, "FORBIDDEN");
    assert_eq!(product.exec(&id, "ls -A").await["stdout"], "");
    product.exec(&id, "touch $(printf 'bad\\377name')").await;
    let listed = data(product.get(&fs("list/workspace")).await.expect(200));
    assert_eq!(listed["entries"][0]["name"], "bad\u{fffd}name");
    assert_eq!(listed["entries"][0]["nameIsNotUtf8"], true);
    product.stop().await;
}
