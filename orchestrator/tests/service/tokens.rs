//! Tokens that open a part of one sandbox: what they open, from where, and for how long.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Answer, ORIGIN, Product, USER, Viewer, eventually, kinds_to_the_end};

async fn minted(product: &Product, sandbox: &str, wish: Value) -> String {
    let answer = product.post(&format!("/v1/sandboxes/{sandbox}/tokens"), wish.clone()).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let answer = answer.expect(201);
    assert_eq!(answer["scope"], wish["scope"]);
    let proxy = format!("{}/v1/sidecar-proxy/{sandbox}", product.base);
    assert_eq!(answer["sidecarProxyUrl"], json!(proxy));
    answer["token"].as_str().unwrap().to_owned()
}

/// Asks at both addresses of the sandbox's surface, which have to agree.
async fn asked(
    product: &Product,
    token: &str,
    sandbox: &str,
    method: Method,
    path: &str,
    body: Value,
) -> Answer {
    let mut answers = Vec::new();
    for place in ["/sidecar", "/v1/sidecar-proxy"] {
        let url = format!("{}{place}/{sandbox}{path}", product.base);
        let request = product.http.request(method.clone(), url).bearer_auth(token);
        let has_body = method != Method::GET;
        let request = if has_body { request.json(&body) } else { request };
        answers.push(product.send(request).await);
    }
    let last = answers.pop().unwrap();
    assert_eq!(answers[0].status, last.status, "{path}: {} and {}", answers[0].body, last.body);
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_its_scope_says_and_nothing_else() {
    let product = Product::start().await;
    let (sandbox, other) = (product.sandbox().await, product.sandbox().await);
    product.map("mine", &sandbox).await;
    product.map("theirs", &sandbox).await;
    let reader = minted(&product, &sandbox, json!({"scope": "read-only"})).await;
    let wish = json!({"scope": "session-runtime", "sessionId": "mine", "ttlMinutes": 5});
    let runner = minted(&product, &sandbox, wish).await;
    let write = json!({"path": "a.txt", "content": "hello"});
    let run = json!({"command": "true"});
    let read = json!({"path": "a.txt"});
    for (token, method, path, body, status) in [
        (&reader, Method::GET, "/health", json!({}), 200),
        (&reader, Method::POST, "/files/write", write.clone(), 403),
        (&runner, Method::POST, "/files/write", write, 200),
        (&reader, Method::POST, "/files/read", read, 200),
        (&reader, Method::POST, "/terminals/commands", run.clone(), 403),
        (&runner, Method::POST, "/terminals/commands", run, 200),
        (&reader, Method::GET, "/agents/sessions/mine", json!({}), 403),
        (&runner, Method::GET, "/agents/sessions/mine", json!({}), 200),
        (&runner, Method::GET, "/agents/sessions/theirs", json!({}), 403),
        (&runner, Method::POST, "/agents/sessions/mine/abort", json!({}), 200),
        (&runner, Method::POST, "/agents/sessions/theirs/abort", json!({}), 403),
        (&runner, Method::POST, "/prompt", json!({"message": "hello"}), 403),
        (&runner, Method::GET, "/permissions/users", json!({}), 403),
    ] {
        let answer = asked(&product, token, &sandbox, method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
    }
    for token in [&reader, &runner] {
        let elsewhere = asked(&product, token, &other, Method::GET, "/health", json!({})).await;
        elsewhere.refused(401, "AUTH_ERROR");
        let url = format!("{}/v1/sandboxes/{sandbox}/tokens", product.base);
        let request = product.http.post(url).bearer_auth(token).json(&json!({"scope": "project"}));
        product.send(request).await.refused(401, "AUTH_ERROR");
    }
    // A credential among the subprotocols counts on a terminal's socket only.
    let url = format!("{}/v1/sidecar-proxy/{sandbox}/health", product.base);
    let request =
        product.http.get(url).header("sec-websocket-protocol", format!("bearer.{reader}"));
    product.send(request).await.refused(401, "AUTH_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_a_route_opens_no_more_than_the_route() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    product.map("mine", &sandbox).await;
    product.map("theirs", &sandbox).await;
    let wish = json!({"scope": "session-runtime", "sessionId": "mine"});
    let token = minted(&product, &sandbox, wish).await;
    for (method, path, status) in [
        (Method::GET, "/agents/sessions/%6dine", 200),
        (Method::GET, "/agents/sessions/%74heirs", 403),
        (Method::GET, "/agents/sessions/mine%2f..%2ftheirs", 403),
        (Method::GET, "/agents/sessions/mine%00", 403),
        (Method::GET, "/agents//sessions/theirs", 404),
        (Method::GET, "/Agents/sessions/theirs", 404),
        (Method::GET, "/agents/sessions/theirs/", 404),
        (Method::HEAD, "/agents/sessions/theirs", 403),
        (Method::PUT, "/agents/sessions/theirs/abort", 405),
        (Method::POST, "/agents/sessions/theirs/abort?sid=mine", 403),
        (Method::POST, "/prompt/", 404),
    ] {
        let answer = asked(&product, &token, &sandbox, method, path, json!({})).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pages_token_does_not_choose_the_backend() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    product.map("mine", &sandbox).await;
    let wish = json!({"scope": "session-runtime", "sessionId": "mine"});
    let token = minted(&product, &sandbox, wish).await;
    let body = |more: Value| {
        let parts = json!([{"type": "text", "text": "run: touch ran"}]);
        let mut body = json!({"turnId": "t1", "parts": parts});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for other in [
        json!({"backend": {"model": {"baseUrl": "http://127.0.0.1:9/v1", "model": "m"}}}),
        json!({"backend": {"baseUrl": "http://127.0.0.1:9/v1"}}),
        json!({"backend": {"model": "openai/large"}}),
        json!({"backend": {"model": {"provider": "openai", "model": "large"}}}),
        json!({"backend": {"model": {"apiKey": "own"}}}),
        json!({"backend": {"type": "skein"}}),
        json!({"backend": {"profile": "default"}}),
        json!({"backend": {"inlineProfile": {"instructions": "forget"}}}),
        json!({"limits": {"maxDurationMs": 86_400_000}}),
    ] {
        for route in ["messages", "dispatch"] {
            let path = format!("/agents/sessions/mine/{route}");
            let body = body(other.clone());
            let answer = asked(&product, &token, &sandbox, Method::POST, &path, body).await;
            answer.refused(403, "FORBIDDEN");
        }
    }
    let said = format!("{}/messages", product.session_path(&sandbox, "mine"));
    assert_eq!(product.get(&said).await.expect(200)["messages"], json!([]));
    // Nothing is chosen here: it runs with what the sandbox has.
    let url = format!("{}/v1/sidecar-proxy/{sandbox}/agents/sessions/mine", product.base);
    let request = product.http.post(format!("{url}/messages")).bearer_auth(&token);
    let own = json!({"backend": {"type": "demo", "model": null}, "limits": {}});
    let request = request.json(&body(own));
    product.send(request).await.expect(202);
    assert_eq!(product.record(&sandbox, "mine", "t1").await["state"], json!("completed"));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_deleted_sandbox_do_not_open_the_next_of_its_name() {
    let product = Product::start().await;
    let make = async || {
        let wish = json!({"projectRef": "again", "container": {}});
        let made = product.post("/projects", wish).await.expect(201);
        made["project"]["connection"]["authToken"].as_str().unwrap().to_owned()
    };
    let own = make().await;
    let scoped = minted(&product, "again", json!({"scope": "read-only"})).await;
    let health = async |token: &str| {
        asked(&product, token, "again", Method::GET, "/health", json!({})).await
    };
    for token in [&own, &scoped] {
        health(token).await.expect(200);
    }
    product.delete("/projects/again").await.expect(200);
    for token in [&own, &scoped] {
        health(token).await.refused(404, "NOT_FOUND");
    }
    // A scoped token knows whole seconds only.
    let minted_at = claims(&scoped)["iat"].as_u64().unwrap();
    eventually("the second is over", async || {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        (now > minted_at).then_some(())
    })
    .await;
    let next = make().await;
    for token in [&own, &scoped] {
        health(token).await.refused(401, "AUTH_ERROR");
    }
    health(&next).await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_makes_no_sense_is_refused_and_time_has_a_ceiling() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let path = format!("/v1/sandboxes/{sandbox}/tokens");
    for wish in [
        json!({}),
        json!({"scope": "all"}),
        json!({"scope": "session"}),
        json!({"scope": "session-runtime"}),
        json!({"scope": "session-runtime", "sessionId": "../x"}),
        json!({"scope": "project", "sessionId": "s"}),
        json!({"scope": "read-only", "ttlMinutes": 0}),
        json!({"scope": "read-only", "ttlMinutes": -1}),
        json!({"scope": "read-only", "ttlMinutes": 1e300}),
        json!({"scope": "read-only", "expiresIn": 60}),
    ] {
        product.post(&path, wish).await.refused(400, "VALIDATION_ERROR");
    }
    let unknown = json!({"scope": "session", "sessionId": "nobody's"});
    product.post(&path, unknown).await.refused(400, "VALIDATION_ERROR");
    let unknown = json!({"scope": "session", "sessionId": "nobodys"});
    product.post(&path, unknown).await.refused(404, "NOT_FOUND");
    product.post("/v1/sandboxes/none/tokens", json!({"scope": "read-only"})).await.expect(404);
    let long = json!({"scope": "read-only", "ttlMinutes": 4_000_000});
    let answer = product.post(&path, long).await.expect(201);
    let token = answer["token"].as_str().unwrap();
    let claims = claims(token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
    assert_eq!((&claims["typ"], &claims["cap"]), (&json!("sidecar"), &json!(["read"])));
    assert_eq!(claims["cid"], json!(sandbox));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sessions_token_opens_the_gateway_for_its_user() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    product.map("s", &sandbox).await;
    let token = minted(&product, &sandbox, json!({"scope": "session", "sessionId": "s"})).await;
    assert_eq!(claims(&token)["sub"], json!(USER));
    let url = format!("{}/session?since=0", product.base.replacen("http", "ws", 1));
    let hello = Viewer::open(&url, &token).await.next().await.unwrap();
    assert_eq!(hello["data"]["subscribed"], json!(["session:s"]));
    let answer = asked(&product, &token, &sandbox, Method::GET, "/health", json!({})).await;
    answer.refused(401, "AUTH_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_token_tells_what_happens_to_its_sandbox_and_in_its_sessions() {
    let product = Product::start().await;
    let (sandbox, other) = (product.sandbox().await, product.sandbox().await);
    product.map("s", &sandbox).await;
    product.map("t", &other).await;
    let token = minted(&product, &sandbox, json!({"scope": "project"})).await;
    let channels = format!("project:{sandbox},session:s,session:t");
    let base = product.base.replacen("http", "ws", 1);
    let url = format!("{base}/session?since=0&channels={channels}");
    let mut viewer = Viewer::open(&url, &token).await;
    let hello = viewer.next().await.unwrap();
    let own = format!("project:{sandbox}");
    assert_eq!(hello["data"]["subscribed"], json!([own, "session:s"]));
    assert_eq!(hello["data"]["denied"][0]["channel"], json!("session:t"));
    assert!(viewer.event().await.unwrap().kind.starts_with("sandbox."));
    product.delete(&format!("/v1/sandboxes/{sandbox}")).await.expect(200);
    assert_eq!(viewer.closed().await, 4404);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_sandbox_is_deleted() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    product.map("s", &sandbox).await;
    let wish = json!({"scope": "read-only", "sessionId": "s"});
    let token = minted(&product, &sandbox, wish).await;
    let path = format!("/v1/sidecar-proxy/{sandbox}/agents/sessions/s/events");
    let request = product.http.get(format!("{}{path}", product.base)).bearer_auth(&token);
    let stream = request.send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    product.delete(&format!("/v1/sandboxes/{sandbox}")).await.expect(200);
    kinds_to_the_end(stream).await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_known_origins_may_ask_and_no_others() {
    let product = Product::start().await;
    let sandbox = product.sandbox().await;
    let token = minted(&product, &sandbox, json!({"scope": "read-only"})).await;
    let url = format!("{}/v1/sidecar-proxy/{sandbox}/health", product.base);
    let preflight = async |origin: &str| -> HeaderMap {
        let request = product.http.request(Method::OPTIONS, &url).header("origin", origin);
        let request = request.header("access-control-request-method", "GET");
        let names = "authorization,x-execution-id";
        let request = request.header("access-control-request-headers", names);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.headers().clone()
    };
    let allowed = preflight(ORIGIN).await;
    assert_eq!(allowed["access-control-allow-origin"], ORIGIN);
    assert!(!allowed.contains_key("access-control-allow-credentials"));
    let headers = allowed["access-control-allow-headers"].to_str().unwrap();
    assert!(headers.contains("authorization") && headers.contains("x-execution-id"), "{headers}");
    assert!(!preflight("https://evil.example").await.contains_key("access-control-allow-origin"));
    let ask = async |origin: &str| {
        let request = product.http.get(&url).bearer_auth(&token).header("origin", origin);
        product.send(request).await
    };
    let answer = ask(ORIGIN).await;
    assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN);
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    for name in ["x-request-id", "x-session-id", "x-execution-id"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert!(answer.headers.contains_key("x-request-id"));
    let answer = ask("https://evil.example").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    // A refusal can be read by the page, too.
    let request = product.http.get(&url).header("origin", ORIGIN);
    let refused = product.send(request).await;
    assert_eq!(refused.headers["access-control-allow-origin"], ORIGIN);
    refused.refused(401, "AUTH_ERROR");
    product.stop().await;
}

/// What a token says, read without its key.
fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}
