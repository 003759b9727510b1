//! Ways out of a sandbox that callers and programs try, over HTTP.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode, header::HeaderMap};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{PATIENCE, Product};

fn runtime(sandbox: &str, rest: &str) -> String {
    format!("/v1/sandboxes/{sandbox}/runtime/{rest}")
}

/// Asks for a path exactly as it stands there: clients would tidy it up. Gives the whole answer.
async fn raw(product: &Product, method: &str, path: &str) -> String {
    let address = product.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let key = product.secrets.api_key.expose_secret();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("it does not end").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_a_sandbox_on_any_route() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let (long, deep) = (format!("/workspace/{}", "x".repeat(300)), "d/".repeat(5000));
    for (path, status) in [
        ("../../etc/passwd", 403),
        ("/etc/passwd", 403),
        ("/workspace/../etc/passwd", 403),
        ("/workspace/./x/../../../etc/passwd", 403),
        ("/home/agent/../../etc/passwd", 403),
        ("/proc/self/environ", 403),
        ("/dev/zero", 403),
        ("a\0b", 400),
        (long.as_str(), 400),
    ] {
        let shown: String = path.chars().take(40).collect();
        for (route, body) in [
            ("files/read", json!({"path": path})),
            ("files/write", json!({"path": path, "content": "out"})),
        ] {
            let answer = product.post(&runtime(&id, route), body).await;
            assert_eq!(answer.status, status, "{route} {shown}: {}", answer.body);
        }
    }
    let answer = product.post(&runtime(&id, "files/read"), json!({"path": deep})).await;
    assert!(matches!(answer.status.as_u16(), 400 | 404), "{}", answer.body);
    // It is a name like any other here.
    let windows = json!({"path": "..\\..\\etc\\passwd"});
    product.post(&runtime(&id, "files/read"), windows).await.refused(404, "NOT_FOUND");

    for (method, route) in [
        ("GET", "fs/download"),
        ("GET", "fs/download-dir"),
        ("GET", "fs/list"),
        ("GET", "fs/stat"),
        ("POST", "fs/mkdir"),
        ("PUT", "fs/upload"),
        ("DELETE", "fs"),
    ] {
        for path in [
            "workspace/../../etc/passwd",
            "workspace/%2e%2e/%2e%2e/etc/passwd",
            "workspace/..%2f..%2fetc%2fpasswd",
            "%2e%2e/etc/passwd",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "workspace/a%00b",
        ] {
            let answer = raw(&product, method, &runtime(&id, &format!("{route}/{path}"))).await;
            let refused = ["HTTP/1.1 400", "HTTP/1.1 403", "HTTP/1.1 404", "HTTP/1.1 405"];
            let is_refused = refused.iter().any(|status| answer.starts_with(status));
            assert!(is_refused && !answer.contains("root:"), "{method} {route}/{path}: {answer}");
        }
    }
    assert_eq!(product.exec(&id, "ls -A /workspace").await["stdout"], "");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_handed_out_to_be_saved_whatever_it_is_called() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    for name in [
        "\"><img src=x onerror=alert(1)>.html",
        "a\r\nSet-Cookie: session=evil",
        "CON",
        "\u{202e}gpj.exe",
        "page.svg",
        "; filename=other.html",
    ] {
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let put = runtime(&id, &format!("fs/upload/workspace/{encoded}"));
        let put = product.request(Method::PUT, &put).body("<script>alert(1)</script>");
        product.send(put).await.expect(200);
        let answer = product.get(&runtime(&id, &format!("fs/download/workspace/{encoded}"))).await;
        assert_eq!(answer.status, StatusCode::OK);
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/octet-stream");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("content-security-policy"), "sandbox");
        let disposition = header("content-disposition");
        let (plain, exact) = disposition.split_once("; filename*=UTF-8''").unwrap();
        let plain = plain.strip_prefix("attachment; filename=\"").unwrap();
        assert_eq!(plain.matches('"').count(), 1, "{disposition}");
        assert!(!exact.contains([';', '"', ' ']), "{disposition}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_make_no_sense_cost_nothing() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.exec(&id, "printf 0123456789 > ten").await;
    let path = runtime(&id, "fs/download/workspace/ten");
    let ask = async |range: &str| {
        product.send(product.request(Method::GET, &path).header("range", range)).await
    };
    let many = format!("bytes={}", vec!["0-"; 1000].join(","));
    for range in [many.as_str(), "bytes=4-2", "bytes=-", "lines=1-2", "bytes=--1"] {
        let answer = ask(range).await;
        let all = (answer.status, answer.headers["content-length"].to_str().unwrap());
        assert_eq!(all, (StatusCode::OK, "10"), "{}", &range[..range.len().min(20)]);
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=99-100"] {
        let answer = ask(range).await;
        assert_eq!(length_told(&answer.headers), "bytes */10", "{range}");
        answer.refused(416, "RANGE_NOT_SATISFIABLE");
    }
    let end = ask("bytes=-99999").await;
    assert_eq!(end.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(length_told(&end.headers), "bytes 0-9/10");
    product.stop().await;
}

fn length_told(headers: &HeaderMap) -> &str {
    headers["content-range"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_sandboxs_own_is_not_found_in_it() {
    let data = tempfile::tempdir().unwrap();
    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    let body = json!({"env": {"NEIGHBOUR": "neighbours-secret"}});
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    let neighbour = made["id"].as_str().unwrap();
    let hidden = "echo neighbours-file > /workspace/f; cp f /tmp/f; (sleep 600 &) ; echo ready";
    assert_eq!(product.exec(neighbour, hidden).await["stdout"], "ready\n");
    let id = product.sandbox().await;
    let folder = data.path().display();
    let look = format!(
        "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' ' '; \
         cat /workspace/* /home/*/* /tmp/*; ls -R /run /var/run; ls -la {folder} / /home; \
         cat /etc/shadow; ls /var/run/docker.sock && echo 'engine''-here'; \
         ls {folder} && echo 'data''-here'; true"
    );
    let seen = product.exec(&id, &look).await;
    let seen = seen["stdout"].as_str().unwrap();
    assert!(seen.contains("HOME=/home/agent"), "it was looked: {seen}");
    let (key, secret) = (&product.secrets.api_key, &product.secrets.signing_secret);
    for theirs in [
        key.expose_secret(),
        secret.expose_secret(),
        "neighbours-",
        "sleep 600",
        "engine-here",
        "data-here",
    ] {
        assert!(!seen.contains(theirs), "{theirs:?} is in {seen}");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_very_many_files_is_listed_as_far_as_a_list_goes() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    let made = product.exec(&id, "mkdir many; cd many; seq 12000 | xargs touch; ls | wc -l").await;
    assert_eq!(made["stdout"].as_str().unwrap().trim(), "12000");
    let listing = product.get(&runtime(&id, "fs/list/workspace/many")).await.expect(200);
    assert_eq!(listing["data"]["entries"].as_array().unwrap().len(), 10_000);
    assert_eq!(listing["data"]["truncated"], true);
    let few = product.get(&runtime(&id, "fs/list/workspace")).await.expect(200);
    assert_eq!(few["data"]["truncated"], false);
    assert_eq!(product.exec(&other, "echo well").await["stdout"], "well\n");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let product = Product::start().await;
    let address = product.base.strip_prefix("http://").unwrap();
    let key = product.secrets.api_key.expose_secret();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/sandboxes HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("it is waited for").unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains(r#""timeoutMs":20000"#), "{answer}");
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let address = product.base.strip_prefix("http://").unwrap();
    let key = product.secrets.api_key.expose_secret();
    for (method, path) in [
        ("POST", "/v1/sandboxes".to_owned()),
        ("PUT", runtime(&id, "fs/upload/workspace/large")),
        ("POST", runtime(&id, "files/write")),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Less than a body is waited for.
        let head = timeout(Duration::from_secs(15), async {
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{path}");
            }
        });
        head.await.expect("it is waited for");
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{path}");
    }
    product.stop().await;
}
