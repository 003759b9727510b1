//! Whatever comes in, the answer is the one envelope with a stable code, and never a crash.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::Product;

/// Every route that takes a body, with a body that would be good.
fn routes(id: &str) -> Vec<(Method, String)> {
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    vec![
        (Method::POST, "/v1/sandboxes".to_owned()),
        (Method::PATCH, format!("/v1/sandboxes/{id}")),
        (Method::POST, "/projects".to_owned()),
        (Method::POST, "/v1/secrets".to_owned()),
        (Method::PATCH, "/v1/secrets/none".to_owned()),
        (Method::POST, "/batch/run".to_owned()),
        (Method::PUT, "/v1/session/s1/mapping".to_owned()),
        (Method::POST, format!("{runtime}/terminals/commands")),
        (Method::POST, format!("{runtime}/files/read")),
        (Method::POST, format!("{runtime}/files/write")),
        (Method::POST, format!("{runtime}/tools/install")),
        (Method::POST, format!("{runtime}/tools/run")),
        (Method::POST, format!("{runtime}/terminals/commands/stream")),
        (Method::POST, format!("{runtime}/search")),
        (Method::POST, format!("{runtime}/git/add")),
        (Method::POST, format!("{runtime}/git/commit")),
        (Method::POST, format!("{runtime}/git/checkout")),
        (Method::POST, format!("{runtime}/prompt")),
        (Method::POST, format!("{runtime}/agents/sessions/s1/messages")),
        (Method::POST, format!("{runtime}/agents/sessions/s1/abort")),
        (Method::POST, format!("{runtime}/agents/sessions/s1/dispatch")),
        (Method::POST, format!("{runtime}/agents/run")),
        (Method::POST, format!("{runtime}/agents/run/stream")),
        (Method::POST, format!("{runtime}/agents/run/cancel")),
        (Method::POST, format!("{runtime}/process/spawn")),
        (Method::POST, format!("{runtime}/process/run-code")),
        (Method::POST, "/v1/sessions/s1/message".to_owned()),
        (Method::POST, format!("/v1/sandboxes/{id}/tokens")),
        (Method::POST, format!("/v1/sandboxes/{id}/network/expose")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_can_make_a_route_fail() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = format!("{{\"parts\":{}1{}}}", "{\"a\":".repeat(1000), "}".repeat(1000));
    let bodies: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"1e400".to_vec(),
        b"\"\xff\xfe\"".to_vec(),
        b"{\"turnId\":1,\"parts\":{},\"command\":[],\"path\":{},\"userId\":0,\"env\":7,\"message\":1,\"container\":7}".to_vec(),
        b"{\"turnId\":\"a\",\"turnId\":\"b\",\"command\":\"x\",\"command\":\"y\",\"path\":\"a\",\"path\":\"b\",\"message\":\"a\",\"message\":\"b\",\"userId\":\"a\",\"userId\":\"b\",\"env\":{},\"env\":{},\"container\":{},\"container\":{}}".to_vec(),
        deep.into_bytes(),
    ];
    for (method, path) in routes(&id) {
        for body in &bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let request = product.request(method.clone(), &path);
            let request = request.header("content-type", "application/json").body(body.clone());
            let answer = product.send(request).await;
            assert!(answer.status.is_client_error(), "{path} {shown}: {answer:?}");
            answer.refused(400, "VALIDATION_ERROR");
        }
        // Where such a field is not known it is passed over, however deep it goes.
        let request = product.request(method.clone(), &path).body(deep_object.clone());
        let answer = product.send(request.header("content-type", "application/json")).await;
        assert!(answer.status.as_u16() < 500, "{path}: {answer:?}");
        let huge = vec![b' '; 26 * 1024 * 1024];
        let request = product.request(method.clone(), &path);
        let answer =
            product.send(request.header("content-type", "application/json").body(huge)).await;
        answer.refused(413, "PAYLOAD_TOO_LARGE");
    }
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536]));
    let request =
        product.request(Method::POST, "/projects").body(reqwest::Body::wrap_stream(endless));
    // It may be cut off before the answer is read: nobody reads a body without an end.
    if let Ok(answer) = request.header("content-type", "application/json").send().await {
        assert_eq!(answer.status(), 413);
    }
    let text = product.request(Method::POST, "/projects").header("content-type", "text/plain");
    product.send(text.body("{}")).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(product.exec(&id, "echo alive").await["stdout"], "alive\n");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_make_no_sense_are_refused_by_name() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let messages = format!("{}/messages", product.session_path(&id, "s1"));
    for body in [
        json!({"turnId": "", "parts": text("x")}),
        json!({"turnId": "a b", "parts": text("x")}),
        json!({"turnId": "a/../b", "parts": text("x")}),
        json!({"turnId": "x".repeat(161), "parts": text("x")}),
        json!({"turnId": "t", "parts": []}),
        json!({"turnId": "t", "parts": text("  \n ")}),
        json!({"turnId": "t", "parts": [{"type": "image", "url": "http://127.0.0.1/"}]}),
        json!({"turnId": "t", "parts": text("x"), "limits": {"maxOutputTokens": -1}}),
        json!({"turnId": "t", "parts": text("x"), "limits": {"maxOutputTokens": 1.5}}),
        json!({"turnId": "t", "parts": text("x"), "backend": {"type": "none-such"}}),
        json!({"turnId": "t", "parts": text("x"), "backend": {"model": {"model": ""}}}),
        json!({"turnId": "t", "parts": text("x"), "backend": {"model": {"model": "demo:free"}}}),
        json!({"turnId": "t", "parts": text("x"), "backend": []}),
    ] {
        let answer = product.post(&messages, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        answer.refused(400, "VALIDATION_ERROR");
    }
    let bad_session = product.session_path(&id, "a%20b");
    let body = json!({"turnId": "t", "parts": text("x")});
    product.post(&format!("{bad_session}/messages"), body).await.refused(400, "VALIDATION_ERROR");
    for body in [
        json!({"image": "--privileged"}),
        json!({"env": {"A": "\0"}}),
        json!({"resources": {"memoryMB": -5}}),
        json!({"mounts": ["/"]}),
    ] {
        product.post("/v1/sandboxes", body).await.refused(400, "VALIDATION_ERROR");
    }
    let mapping = json!({"userId": "", "sandboxId": id});
    product.put("/v1/session/s1/mapping", mapping).await.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_lead_nowhere_are_refused() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    for path in [
        "/",
        "/.env",
        "/debug",
        "/v1/sandboxes/..%2f..%2fetc",
        "/v1/sandboxes/%00",
        "/v1/sandboxes/\u{202e}x",
        &format!("/v1/sandboxes/{}", "x".repeat(5000)),
        &format!("/v1/sandboxes/{id}/runtime/nothing"),
    ] {
        let answer = product.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.refused(404, "NOT_FOUND");
    }
    product.get("/v1/sandboxes/%ff").await.refused(400, "VALIDATION_ERROR");
    for (method, path) in [
        (Method::GET, format!("/v1/sandboxes/{id}/stop")),
        (Method::PATCH, "/projects".to_owned()),
        (Method::DELETE, "/health".to_owned()),
        (Method::DELETE, "/session".to_owned()),
    ] {
        product.send(product.request(method, &path)).await.refused(405, "METHOD_NOT_ALLOWED");
    }
    let events = format!("{}/events", product.session_path(&id, "s1"));
    product.dispatch(&id, "s1", "t1", "run: true").await.expect(202);
    for since in ["-1", "abc", "1;drop", "1e3"] {
        product.get(&format!("{events}?since={since}")).await.refused(400, "VALIDATION_ERROR");
        let request = product.request(Method::GET, &events).header("last-event-id", since);
        product.send(request).await.refused(400, "VALIDATION_ERROR");
    }
    product.get("/session").await.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_told_in_the_same_words_everywhere() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    for path in ["/v1/sandboxes".to_owned(), format!("{runtime}/files/write")] {
        let answer = product.post(&path, json!({"name": 3, "path": 3})).await;
        let words = answer.expect(400)["message"].as_str().unwrap().to_owned();
        assert!(words.starts_with("The body is not valid: "), "{path}: {words}");
    }
    let process =
        product.get(&format!("{runtime}/process/abc")).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(process["message"], "The path is not valid: \"abc\" must be a whole number.");
    for path in ["git/log?limit=x", "process/1/logs?since=x"] {
        let answer = product.get(&format!("{runtime}/{path}")).await;
        let words = answer.expect(400)["message"].as_str().unwrap().to_owned();
        assert!(words.starts_with("The query is not valid: "), "{path}: {words}");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_field_that_is_wrong_is_named_with_what_it_must_be() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    let number = json!({"resources.cpu": "must be a number"});
    for (path, body, fields) in [
        ("/v1/sandboxes".to_owned(), json!({"resources": {"cpu": "hunter2"}}), number.clone()),
        ("/projects".to_owned(), json!({"config": {"resources": {"cpu": "hunter2"}}}), number),
        (
            "/v1/sandboxes".to_owned(),
            json!({"resources": {"memory": 1}}),
            json!({"resources.memoryMB": "must be between 64 and 16384"}),
        ),
        (
            "/v1/sandboxes".to_owned(),
            json!({"network": {"blockOutbound": "hunter2"}}),
            json!({"network.blockOutbound": "must be true or false"}),
        ),
        (format!("{runtime}/terminals/commands"), json!({}), json!({"command": "is missing"})),
        // What a sandbox says itself.
        (format!("{runtime}/files/read"), json!({"path": 3}), json!({"path": "must be a text"})),
        (format!("{runtime}/git/add"), json!({}), json!({"paths": "is missing"})),
    ] {
        let refused = product.post(&path, body.clone()).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused["fields"], fields, "{path} {body}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
    let both = json!({"resources": {"cpu": 1, "cpuCores": 1, "memory": 256, "memoryMB": 256}});
    product.post("/v1/sandboxes", both).await.expect(201);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_without_the_key() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let key = secrecy::ExposeSecret::expose_secret(&product.secrets.api_key).to_owned();
    let short = &key[..key.len() - 1];
    let long = format!("{key}0");
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Basic x",
        short,
        &format!("Bearer {short}"),
        &format!("Bearer {long}"),
    ] {
        for path in [
            "/v1/sandboxes",
            "/projects/x",
            &format!("/v1/sandboxes/{id}/driver"),
            &format!("/v1/sandboxes/{id}/runtime/health"),
        ] {
            let request = product.http.get(format!("{}{path}", product.base));
            let request = request.header("authorization", authorization);
            product.send(request).await.refused(401, "AUTH_ERROR");
        }
    }
    let open = product.send(product.http.get(format!("{}/health", product.base))).await;
    assert_eq!(open.expect(200)["status"], "ok");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_id_is_the_callers_when_it_is_harmless() {
    let product = Product::start().await;
    let ask = async |id: &str| {
        let request = product.request(Method::GET, "/v1/sandboxes").header("x-request-id", id);
        let answer = product.send(request).await;
        answer.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(ask("req-42.a_b").await, "req-42.a_b");
    for odd in ["a b", "", &"x".repeat(65), "<script>"] {
        assert!(ask(odd).await.starts_with("req_"));
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_none_get_no_further() {
    let product = Product::start().await;
    let address = product.base.strip_prefix("http://").unwrap().to_owned();
    for raw in [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /v1/sandboxes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzzz",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000)),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // It may be closed before all of it was written.
        stream.write_all(raw.as_bytes()).await.ok();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(40), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection stayed open");
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    product.get("/v1/sandboxes").await.expect(200);
    product.stop().await;
}
