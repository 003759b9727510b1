//! Ports of sandboxes as a browser reaches them.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{PATIENCE, Product, eventually};

/// Answers with the head that it was sent, and goes on answering.
const ECHO: &str = r#"
import socket

def serve(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        if not byte: return
        head += byte
    if b"/socket" in head:
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        while piece := client.recv(100):
            client.sendall(piece)
    else:
        client.sendall(
            b"HTTP/1.1 200 OK\r\nkeep-alive: x\r\nset-cookie: a=b; Domain=localhost\r\n"
            b"location: http://localhost:3000/z\r\ncontent-length: %d\r\n\r\n" % len(head))
        client.sendall(head)
        client.shutdown(socket.SHUT_WR)
        while client.recv(100): pass

server = socket.create_server(("127.0.0.1", 3000))
while True:
    client, _ = server.accept()
    try:
        serve(client)
    except OSError:
        pass
    client.close()
"#;

/// Writes what was asked for to the main listener, and reads until `end` or the end.
async fn raw(product: &Product, request: &str, end: &str) -> (String, TcpStream) {
    let address = product.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&answer).contains(end) {
            match stream.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("no answer");
    (String::from_utf8_lossy(&answer).into_owned(), stream)
}

async fn get(product: &Product, host: &str, more: &str) -> String {
    let request = format!("GET /x?y HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    raw(product, &request, "\0never").await.0
}

async fn expose(product: &Product, id: &str, port: u64) -> String {
    let path = format!("/v1/sidecars/{id}/network/expose");
    let url = product.post(&path, json!({"port": port})).await.expect(200)["url"].clone();
    let url = url.as_str().unwrap();
    url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned()
}

async fn serve(product: &Product, id: &str) {
    let file = json!({"path": "echo.py", "content": ECHO});
    product.post(&format!("/v1/sandboxes/{id}/runtime/files/write"), file).await.expect(200);
    product.exec(id, "nohup python3 echo.py > log 2>&1 & sleep 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_port_is_told_of_once_and_without_its_url() {
    let product = Product::start().await;
    let asked = json!({"network": {"ports": [4000]}});
    let made = product.post("/v1/sandboxes", asked).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let host = expose(&product, id, 3000).await;
    assert_eq!(expose(&product, id, 3000).await, host);
    let path = format!("/v1/sidecars/{id}/network");
    let change = product.request(Method::PATCH, &path).json(&json!({"ports": [3000, 5000]}));
    product.send(change).await.expect(200);
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    let events = product.request(Method::GET, &format!("/v1/sandboxes/{id}/events"));
    let mut opened = Vec::new();
    for (_, kind, data) in product.events(events, 7).await {
        assert!(!data.to_string().contains(&host), "{data}");
        if kind == "port.opened" {
            assert_eq!(data["sandboxId"], id);
            opened.push(data["port"].clone());
        }
    }
    assert_eq!(opened, [4000, 3000, 5000]);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_an_origin_of_its_own_that_only_its_name_opens() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let host = expose(&product, &id, 3000).await;
    let refused = get(&product, &host, "").await;
    assert!(
        refused.starts_with("HTTP/1.1 502") && refused.contains("Nothing listens"),
        "{refused}"
    );
    serve(&product, &id).await;
    let more = "Authorization: Bearer own\r\nCookie: c=d\r\nX-Forwarded-For: 1.2.3.4\r\n";
    let answer = eventually("the program answers", async || {
        let answer = get(&product, &host, more).await;
        answer.starts_with("HTTP/1.1 200").then_some(answer.to_lowercase())
    })
    .await;
    for part in [
        "get /x?y http/1.1",
        "host: localhost:3000",
        "authorization: bearer own",
        "cookie: c=d",
        "set-cookie: a=b\r\n",
        "location: /z\r\n",
        "x-forwarded-proto: http",
        &format!("x-forwarded-host: {host}"),
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert!(!answer.contains("1.2.3.4") && !answer.contains("keep-alive: x"), "{answer}");

    let (label, domain) = host.split_once('.').unwrap();
    let other_tag =
        format!("{}{}", &label[..label.len() - 1], if label.ends_with('0') { 1 } else { 0 });
    let key = format!("Authorization: Bearer {}\r\n", secret(&product));
    for host in [
        format!("{other_tag}.{domain}"),
        format!("{}.{domain}", label.replacen("p3000", "p3001", 1)),
        format!("p3000-.{domain}"),
    ] {
        let answer = get(&product, &host, &key).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{host}: {answer}");
        assert!(answer.contains("no such port"), "{host}: {answer}");
    }
    // Neither of two hosts is believed.
    let request = format!(
        "GET /v1/sandboxes HTTP/1.1\r\nHost: {host}\r\nHost: {domain}\r\n{key}Connection: close\r\n\r\n"
    );
    let answer = raw(&product, &request, "\0never").await.0;
    assert!(answer.starts_with("HTTP/1.1 4") && !answer.contains("sandboxes\":"), "{answer}");
    let request = format!(
        "GET http://{domain}/v1/sandboxes HTTP/1.1\r\nHost: {host}\r\n{key}Connection: close\r\n\r\n"
    );
    let answer = raw(&product, &request, "\0never").await.0;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    // A length beside chunks is not read, so that nothing hides behind the last chunk.
    let both = "Content-Length: 500\r\nTransfer-Encoding: chunked\r\n";
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\n{both}\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {host}\r\n\r\n"
    );
    let answer = raw(&product, &request, "\0never").await.0;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("hidden"), "{answer}");
    let twice = "Content-Length: 1\r\nContent-Length: 2\r\n";
    assert!(get(&product, &host, twice).await.starts_with("HTTP/1.1 400"));
    product.stop().await;
}

fn secret(product: &Product) -> String {
    use secrecy::ExposeSecret;
    product.secrets.api_key.expose_secret().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_closed_for_good_and_what_went_through_it_is_cut() {
    let product = Product::start().await;
    let made = json!({"network": {"ports": [3000]}});
    let made = product.post("/v1/sandboxes", made).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let urls = product.get(&format!("/v1/sidecars/{id}/network/urls")).await.expect(200);
    let host = expose(&product, id, 3000).await;
    assert_eq!(urls, json!({"urls": {"3000": format!("http://{host}/")}}));
    serve(&product, id).await;
    eventually("the program answers", async || {
        get(&product, &host, "").await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    let upgrade = format!(
        "GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    let (answer, mut socket) = raw(&product, &upgrade, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    socket.write_all(b"echo").await.unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"echo");

    let path = format!("/v1/sidecars/{id}/network/expose/3000");
    product.delete(&path).await.expect(200);
    let ended = tokio::time::timeout(PATIENCE, socket.read_u8()).await.expect("it was not cut");
    assert!(ended.is_err());
    product.delete(&path).await.refused(404, "NOT_FOUND");
    assert!(get(&product, &host, "").await.starts_with("HTTP/1.1 404"));
    let again = expose(&product, id, 3000).await;
    assert_ne!(again, host);
    assert!(get(&product, &host, "").await.starts_with("HTTP/1.1 404"));

    let network = product.request(Method::PATCH, &format!("/v1/sandboxes/{id}/network"));
    let network = product.send(network.json(&json!({"ports": [3001]}))).await.expect(200);
    assert_eq!(network["ports"], json!([3001]));
    assert!(get(&product, &again, "").await.starts_with("HTTP/1.1 404"));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_resumes_a_stopped_sandbox_and_never_finds_a_deleted_one() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let host = expose(&product, &id, 3000).await;
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    assert!(get(&product, &host, "").await.starts_with("HTTP/1.1 502"));
    product.sandbox_is(&id, "running").await;
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    assert!(get(&product, &host, "").await.starts_with("HTTP/1.1 404"));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_ports_that_programs_have_are_opened_and_not_too_many() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sidecars/{id}/network/expose");
    // The last one is where programs find the proxy.
    for port in [json!(0), json!(80), json!(1023), json!(65536), json!("3000"), json!(19128)] {
        let refused = product.post(&path, json!({"port": port})).await;
        refused.refused(400, "VALIDATION_ERROR");
    }
    for port in 3000..3016 {
        product.post(&path, json!({"port": port})).await.expect(200);
    }
    product.post(&path, json!({"port": 3016})).await.refused(429, "QUOTA_EXCEEDED");
    product.post(&path, json!({"port": 3000})).await.expect(200);
    let body: Value = json!({"port": 3000});
    let none = "/v1/sidecars/none-such/network/expose";
    product.post(none, body).await.refused(404, "NOT_FOUND");
    product.stop().await;
}
