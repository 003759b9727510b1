//! What sandboxes may reach, tried from inside against a server on this machine.

use orchestrator::NetworkReach;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use crate::support::{Answer, Product, eventually};

/// A server that answers every request with `reached`, until it is dropped.
pub(crate) struct Origin {
    pub(crate) address: String,
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nreached";
                    stream.write_all(answer.as_bytes()).await.ok();
                    // Held open until the other side has enough: a tunnel stays.
                    while stream.read_u8().await.is_ok() {}
                });
            }
        });
        Self { address: address.to_string(), port: address.port(), serving }
    }
}

async fn made(product: &Product, network: Value) -> String {
    let made = product.post("/v1/sandboxes", json!({"network": network})).await.expect(201);
    assert_eq!(made["warnings"], Value::Null, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn patch(product: &Product, id: &str, network: Value) -> Answer {
    let request = product.request(Method::PATCH, &format!("/v1/sidecars/{id}/network"));
    product.send(request.json(&network)).await
}

/// Bash, which every sandbox has, speaks to the proxy by hand; gives what it was answered.
async fn through(product: &Product, id: &str, request: &str) -> String {
    let command = format!(
        "exec 3<>/dev/tcp/127.0.0.1/19128 && printf '{request}' >&3 && timeout 20 cat <&3; true"
    );
    product.exec(id, &command).await["stdout"].as_str().unwrap().to_owned()
}

fn get(url: &str, host: &str, more: &str) -> String {
    format!("GET {url} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n{more}\\r\\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_reaches_what_its_list_names_and_nothing_else() {
    let (product, origin, other) =
        (Product::start().await, Origin::start().await, Origin::start().await);
    let (here, there) = (&origin.address, &other.address);
    let id = made(&product, json!({"allow_list": [here, "a.example"]})).await;
    let ask = async |request: String| through(&product, &id, &request).await;

    let reached = ask(get(&format!("http://{here}/path"), here, "")).await;
    assert!(reached.starts_with("HTTP/1.1 200") && reached.ends_with("reached"), "{reached}");
    for (request, status) in [
        (get(&format!("http://{there}/"), there, ""), 403),
        (get("http://b.example/", "b.example", ""), 403),
        (get("http://169.254.169.254/latest/", "169.254.169.254", ""), 403),
        (get("http://[::1]/", "[::1]", ""), 403),
        // Another host than the URL's, and none of the proxy's own.
        (get(&format!("http://{here}/"), "evil.example", ""), 400),
        (get("/", here, ""), 400),
        (get(&format!("https://{here}/"), here, ""), 400),
        // Two ways to say where the request ends.
        (
            get(&format!("http://{here}/"), here, "Content-Length: 1\\r\\nContent-Length: 2\\r\\n"),
            400,
        ),
        (format!("CONNECT {there} HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n"), 403),
        (format!("CONNECT [::1]:{} HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n", origin.port), 403),
        ("CONNECT a.example:22 HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n".to_owned(), 403),
    ] {
        let answer = ask(request.clone()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
    // A length beside chunks is not read, so that nothing hides behind the last chunk.
    let hidden = get(&format!("http://{here}/hidden"), here, "");
    let both = "Content-Length: 500\\r\\nTransfer-Encoding: chunked\\r\\n";
    let two = format!("{}0\\r\\n\\r\\n{hidden}", get(&format!("http://{here}/"), here, both));
    let answer = ask(two).await;
    assert_eq!(answer.matches("reached").count(), 1, "{answer}");
    let words = ask(get("http://b.example/", "b.example", "")).await;
    assert!(words.contains("b.example is not on this sandbox's allow-list"), "{words}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_means_public_addresses_and_none_means_none() {
    let (product, origin) = (Product::start().await, Origin::start().await);
    let here = &origin.address;
    let open = made(&product, json!({"blockOutbound": false})).await;
    let answer = through(&product, &open, &get(&format!("http://{here}/"), here, "")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("private"), "{answer}");
    let told = "echo $HTTPS_PROXY $http_proxy $NO_PROXY";
    assert_eq!(
        product.exec(&open, told).await["stdout"],
        "http://127.0.0.1:19128 http://127.0.0.1:19128 127.0.0.1,localhost,::1\n"
    );

    // This machine is not meant by a net around it, and an empty list is not all there is.
    let around = json!({"allowList": [format!("127.0.0.0/8:{}", origin.port)]});
    patch(&product, &open, around).await.expect(200);
    let answer = through(&product, &open, &get(&format!("http://{here}/"), here, "")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("private"), "{answer}");
    let emptied = patch(&product, &open, json!({"allowList": []})).await.expect(200);
    assert_eq!(emptied, json!({"blockOutbound": true, "allowList": [], "ports": []}));

    let none = product.sandbox().await;
    assert_eq!(product.exec(&none, told).await["stdout"], "\n");
    assert_eq!(through(&product, &none, &get(&format!("http://{here}/"), here, "")).await, "");
    let network = product.get(&format!("/v1/sandboxes/{none}/network")).await.expect(200);
    assert_eq!(network, json!({"blockOutbound": true, "allowList": [], "ports": []}));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_holds_at_once_and_cuts_what_it_forbids() {
    let (product, origin) = (Product::start().await, Origin::start().await);
    let here = &origin.address;
    let id = product.sandbox().await;
    let network = patch(&product, &id, json!({"allowList": [here]})).await.expect(200);
    assert_eq!(network, json!({"blockOutbound": false, "allowList": [here], "ports": []}));
    // Nothing but the cut ends it: the other side holds it open.
    let tunnel = format!(
        "exec 3<>/dev/tcp/127.0.0.1/19128 && printf 'CONNECT {here} HTTP/1.1\\r\\n\\r\\n' >&3 && \
         read -r -u 3 status && echo \"$status\" > opened && cat <&3 > rest; echo ended > ended"
    );
    let held = product.exec(&id, &tunnel);
    let change = async {
        eventually("the tunnel stands", async || {
            let status = product.exec(&id, "cat opened").await["stdout"].clone();
            status.as_str().unwrap().starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
        patch(&product, &id, json!({"blockOutbound": true})).await.expect(200);
    };
    tokio::join!(held, change);
    assert_eq!(product.exec(&id, "cat ended").await["stdout"], "ended\n");
    let answer = through(&product, &id, &get(&format!("http://{here}/"), here, "")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(product.exec(&id, "echo $http_proxy").await["stdout"], "\n");

    for wrong in [json!({"allowList": ["a b"]}), json!({"mode": "open"}), json!({"ports": [1]})] {
        patch(&product, &id, wrong).await.refused(400, "VALIDATION_ERROR");
    }
    patch(&product, "none-such", json!({})).await.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sandbox_gets_more_than_is_allowed_here() {
    let product = Product::start_with(|config| config.network_allowed = NetworkReach::List).await;
    let open = json!({"network": {"blockOutbound": false}});
    product.post("/v1/sandboxes", open).await.refused(403, "FORBIDDEN");
    let id = made(&product, json!({"allowList": ["a.example"]})).await;
    let open = json!({"blockOutbound": false, "allowList": []});
    patch(&product, &id, open).await.refused(403, "FORBIDDEN");
    product.stop().await;
}
