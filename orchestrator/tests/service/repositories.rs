//! Sandboxes that begin with a repository, cloned from a host on this machine.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::Response,
};
use orchestrator::NetworkReach;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command, task::JoinHandle};

use crate::support::{Process, Product, eventually};

const TOKEN: &str = "tok-0123456789-secret";
/// `x-access-token:` and the token.
const HEADER: &str = "Basic eC1hY2Nlc3MtdG9rZW46dG9rLTAxMjM0NTY3ODktc2VjcmV0";
/// Two commits on one branch, one more on another, a tag, and a module that nobody shall ask for.
const MAKE: &str = "git init -q -b main made && cd made && mkdir docs src && echo a > docs/a && \
    echo b > src/b && echo 1 > top && git add . && git commit -qm First && echo 2 > top && \
    printf '[submodule \"sub\"]\\n\\tpath = sub\\n\\turl = ../other.git\\n' > .gitmodules && \
    git update-index --add --cacheinfo 160000,0123456789abcdef0123456789abcdef01234567,sub && \
    git add .gitmodules top && git commit -qm Second && git tag v1 && git checkout -qb dev && \
    echo d > dev && git add dev && git commit -qm Third && git checkout -q main && \
    git clone -q --bare . ../far.git && git clone -q --bare . ../other.git && \
    git rev-parse main~1";

/// Says in a sandbox where its repository stands.
const LOOK: &str = "git log --format=%s | tr '\\n' ' '; git branch --show-current; \
                    git status --porcelain; ls";

/// A host of repositories. Below `/private` it wants the token; below `/moved` it sends elsewhere.
struct Host {
    address: String,
    /// The id of the first commit.
    first: String,
    served: Arc<Served>,
    serving: JoinHandle<()>,
}

struct Served {
    folder: TempDir,
    elsewhere: String,
    /// Path and authorization of each request.
    asked: Mutex<Vec<(String, Option<String>)>>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Host {
    /// `elsewhere`: the address to which repositories have moved. `None`: git is not installed.
    async fn start(elsewhere: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let made = shell(folder.path()).args(["-ec", MAKE]).output().await.unwrap();
        if !made.status.success() {
            let there = std::process::Command::new("git").arg("--version").output().is_ok();
            assert!(!there, "{}", String::from_utf8_lossy(&made.stderr));
            eprintln!("skipped: git is not installed");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let elsewhere = elsewhere.to_owned();
        let served = Arc::new(Served { folder, elsewhere, asked: Mutex::default() });
        let app = Router::new().fallback(answer).with_state(served.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let first = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        Some(Self { address, first, served, serving })
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        self.served.asked.lock().unwrap().clone()
    }

    /// What a sandbox is made with that begins with a repository of this host's.
    fn order(&self, path: &str, mut git: Value) -> Value {
        git["url"] = format!("http://{}/{path}", self.address).into();
        json!({"git": git, "network": {"allowList": [self.address]}})
    }
}

/// A shell without anything of this machine's settings.
fn shell(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "a")
            .env(format!("GIT_{who}_EMAIL"), "a@example.com");
    }
    command
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let authorization = header_of(&parts.headers, "authorization");
    served.asked.lock().unwrap().push((path.clone(), authorization.clone()));
    let response = Response::builder();
    if let Some(moved) = path.strip_prefix("/moved") {
        let query = parts.uri.query().unwrap_or_default();
        let to = format!("http://{}{moved}?{query}", served.elsewhere);
        let response = response.status(StatusCode::MOVED_PERMANENTLY).header(header::LOCATION, to);
        return response.body(Body::empty()).unwrap();
    }
    let open = path.strip_prefix("/private");
    if open.is_some() && authorization.as_deref() != Some(HEADER) {
        let response = response.status(StatusCode::UNAUTHORIZED);
        let response = response.header(header::WWW_AUTHENTICATE, "Basic realm=\"here\"");
        return response.body(Body::empty()).unwrap();
    }
    let body = to_bytes(body, 1 << 20).await.unwrap();
    backend(served.folder.path(), open.unwrap_or(&path), &parts, body).await
}

fn header_of(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}

/// Git's own server, which is a program that answers one request.
async fn backend(folder: &Path, path: &str, asked: &Parts, body: Bytes) -> Response {
    let mut command = shell(folder);
    command.args(["-c", "exec git http-backend"]);
    command.env("GIT_PROJECT_ROOT", folder).env("GIT_HTTP_EXPORT_ALL", "1");
    let query = asked.uri.query().unwrap_or_default();
    command.env("PATH_INFO", path).env("QUERY_STRING", query);
    command.env("REQUEST_METHOD", asked.method.as_str()).env("REMOTE_ADDR", "127.0.0.1");
    command.env("CONTENT_LENGTH", body.len().to_string());
    for (variable, name) in [
        ("CONTENT_TYPE", "content-type"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("GIT_PROTOCOL", "git-protocol"),
    ] {
        command.env(variable, header_of(&asked.headers, name).unwrap_or_default());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // One that answers at once reads nothing.
    input.write_all(&body).await.ok();
    drop(input);
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

/// A new sandbox once its start is over, whatever came of it.
async fn started(product: &Product, order: Value) -> Value {
    let made = product.post("/v1/sandboxes", order).await.expect(201);
    assert_eq!(made["warnings"], Value::Null, "{made}");
    let path = format!("/v1/sandboxes/{}", made["id"].as_str().unwrap());
    eventually("its start is over", async || {
        let sandbox = product.get(&path).await.expect(200);
        (sandbox["status"] != "provisioning").then_some(sandbox)
    })
    .await
}

async fn running(product: &Product, order: Value) -> String {
    let sandbox = started(product, order).await;
    assert_eq!(sandbox["status"], "running", "{sandbox}");
    sandbox["id"].as_str().unwrap().to_owned()
}

/// Why it failed.
async fn failed(product: &Product, order: Value) -> String {
    let sandbox = started(product, order).await;
    assert_eq!(sandbox["status"], "failed", "{sandbox}");
    sandbox["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_begins_with_the_repository_that_was_asked_for() {
    let Some(host) = Host::start("").await else { return };
    let product = Product::start().await;
    let sh = async |id: &str, command: &str| {
        let result = product.exec(id, command).await;
        assert_eq!(result["exitCode"], 0, "{result}");
        result["stdout"].as_str().unwrap().to_owned()
    };
    let id = running(&product, host.order("far.git", json!({}))).await;
    assert_eq!(sh(&id, LOOK).await, "Second main\ndocs\nsrc\nsub\ntop\n");
    // It is cloned once. What was done in it since is there after the next start.
    let asked = host.asked();
    sh(&id, "echo mine > mine && rm top").await;
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    assert_eq!(sh(&id, "cat mine; ls").await, "mine\ndocs\nmine\nsrc\nsub\n");
    assert_eq!(host.asked(), asked);

    let git = json!({"ref": "dev", "depth": 2, "sparse": ["docs"]});
    let id = running(&product, host.order("far.git", git)).await;
    assert_eq!(sh(&id, LOOK).await, "Third Second dev\ndev\ndocs\nsub\ntop\n");
    for (exact, shown) in [("refs/tags/v1", "Second docs\n"), (host.first.as_str(), "First docs\n")]
    {
        let id = running(&product, host.order("far.git", json!({"ref": exact}))).await;
        let look = sh(&id, LOOK).await;
        assert!(look.starts_with(shown), "{exact}: {look}");
    }
    assert!(host.asked().iter().all(|(path, _)| path.starts_with("/far.git/")), "a module");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_repository_and_is_nowhere_afterwards() {
    let Some(host) = Host::start("").await else { return };
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let process = Process::start_logging(data.path(), &log).await;
    let product = &process.product;
    let private = |token: &str| {
        let mut order = host.order("private/far.git", json!({"auth": {"token": token}}));
        // They would have git write all of it down.
        order["env"] = json!({"GIT_TRACE_CURL": "/tmp/trace", "GIT_TRACE_REDACT": "0"});
        order
    };
    let id = running(product, private(TOKEN)).await;
    assert!(host.asked().iter().all(|(_, brought)| brought.as_deref() == Some(HEADER)));
    let secrets = [TOKEN, HEADER.strip_prefix("Basic ").unwrap()];
    let look = "test ! -e /tmp/trace && cat top && cat .git/config .git/FETCH_HEAD; env; \
                cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
                grep -rs . /workspace /home/agent /tmp";
    let seen = product.exec(&id, look).await["stdout"].as_str().unwrap().to_owned();
    assert!(seen.starts_with("2\n") && seen.contains("/private/far.git"), "{seen}");
    let shown = product.get(&format!("/v1/sandboxes/{id}")).await.expect(200).to_string();

    let wrong = "tok-9876543210-wrong";
    let words = failed(product, private(wrong)).await;
    let asked = host.asked().len();
    let listed = product.get("/v1/sandboxes?status=failed").await.expect(200);
    let path = format!("/v1/sandboxes/{}", listed["sandboxes"][0]["id"].as_str().unwrap());
    let again = product.post(&format!("{path}/resume"), json!({})).await;
    let wait: u64 = again.headers["retry-after"].to_str().unwrap().parse().unwrap();
    again.refused(503, "UNAVAILABLE");
    // A machine that is so slow has not asked too early.
    let was_early = (1..=5).contains(&wait) && host.asked().len() == asked;
    assert!(was_early || wait == 10, "{wait}");
    assert!(words.contains("could not be cloned") && words.contains("git.auth.token"), "{words}");
    assert!(!words.contains(wrong), "{words}");
    process.terminate().await;
    let mut kept = std::fs::read(&log).unwrap();
    for entry in std::fs::read_dir(data.path().join("orchestrator")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            kept.extend(std::fs::read(path).unwrap());
        }
    }
    let kept = String::from_utf8_lossy(&kept);
    for secret in secrets.into_iter().chain([wrong]) {
        assert!(!seen.contains(secret) && !shown.contains(secret), "{seen} {shown}");
        assert!(!kept.contains(secret), "it is in the log or in the database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_given_to_another_host_and_what_fails_is_told_in_words() {
    let Some(other) = Host::start("").await else { return };
    let Some(host) = Host::start(&other.address).await else { return };
    let product = Product::start().await;
    let order = |path: &str, git: Value| {
        let mut order = host.order(path, git);
        order["network"]["allowList"] = json!([host.address, other.address]);
        order
    };
    let with_token = order("moved/far.git", json!({"auth": {"token": TOKEN}}));
    let words = failed(&product, with_token).await;
    assert!(words.contains("redirect"), "{words}");
    assert!(other.asked().is_empty(), "the token went elsewhere");
    running(&product, order("moved/far.git", json!({}))).await;
    assert!(!other.asked().is_empty());

    let words = failed(&product, order("far.git", json!({"ref": "nowhere"}))).await;
    assert!(words.contains("Remote branch nowhere not found"), "{words}");
    let words = failed(&product, order("none.git", json!({}))).await;
    assert!(words.contains("not found") && words.len() < 1000, "{words}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_takes_long_is_given_up_when_the_sandbox_is_stopped_or_deleted() {
    if Host::start("").await.is_none() {
        return;
    }
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let product = Product::start().await;
    let git = json!({"url": format!("http://{address}/far.git")});
    let order = json!({"git": git, "network": {"allowList": [address]}});
    let path = async || {
        let all = product.get("/v1/sandboxes").await.expect(200);
        format!("/v1/sandboxes/{}", all["sandboxes"][0]["id"].as_str().unwrap())
    };
    let stopping = async {
        let (line, _) = silent.accept().await.unwrap();
        let stopped = product.post(&format!("{}/stop", path().await), json!({})).await.expect(200);
        (line, stopped)
    };
    let (made, (_line, stopped)) = tokio::join!(product.post("/v1/sandboxes", order), stopping);
    made.expect(201);
    assert_eq!(stopped["status"], "stopped", "{stopped}");

    // It begins anew with the next start, which nobody waits for after its end.
    let resume = format!("{}/resume", path().await);
    let deleting = async {
        let (line, _) = silent.accept().await.unwrap();
        let deleted = product.delete(&path().await).await;
        (line, deleted)
    };
    let (resumed, (_line, deleted)) = tokio::join!(product.post(&resume, json!({})), deleting);
    resumed.refused(404, "NOT_FOUND");
    assert!(deleted.status.is_success(), "{}", deleted.body);
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_out_of_reach_or_makes_no_sense_is_refused_at_once() {
    let product = Product::start_with(|config| config.network_allowed = NetworkReach::List).await;
    let git = json!({"url": "https://a.example/b.git"});
    for (order, words) in [
        (json!({"git": git}), "add \"a.example\" to network.allowList"),
        (json!({"git": git, "network": {"allowList": ["b.example"]}}), "add \"a.example\""),
        (json!({"git": git, "network": {"allowList": ["a.example:22"]}}), "add \"a.example\""),
        (json!({"git": git, "fromSnapshot": "x"}), "fromSnapshot"),
        (json!({"git": {"url": "ssh://a.example/b"}}), "https://"),
        (json!({"git": {"url": "http://a.example/b"}}), "https://"),
        (json!({"git": {"url": "https://u:p@a.example/b"}}), "git.auth.token"),
        (json!({"git": {"url": "https://a.example/b", "ref": "--upload-pack=x"}}), "git.ref"),
        (json!({"git": {"url": "https://a.example/b", "depth": 0}}), "git.depth"),
        (json!({"git": {"url": "https://a.example/b", "sparse": ["../c"]}}), "git.sparse"),
        (json!({"git": {"url": "https://a.example/b", "auth": TOKEN}}), "git must be"),
    ] {
        let refused = product.post("/v1/sandboxes", order).await.refused(400, "VALIDATION_ERROR");
        let told = refused["message"].as_str().unwrap();
        assert!(told.contains(words) && !told.contains(TOKEN), "{told}");
    }
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0);
    product.stop().await;

    let product = Product::start_with(|config| config.network_allowed = NetworkReach::None).await;
    product.post("/v1/sandboxes", json!({"git": git})).await.refused(403, "FORBIDDEN");
    product.stop().await;
}
