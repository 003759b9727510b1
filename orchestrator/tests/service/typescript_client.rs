//! What the public TypeScript client promises its callers: the types of its results, its defaults, and
//! how it takes an answer. The bytes are those that it sends.

use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use scripted_model::ScriptedModel;
use serde_json::{Value, json};

use crate::support::{Answer, Product, eventually};

/// A sandbox as that client has it: at its own address, with its own token.
struct Sandbox<'a> {
    product: &'a Product,
    url: String,
    token: String,
}

impl<'a> Sandbox<'a> {
    async fn make(product: &'a Product, body: Value) -> Self {
        let made = product.post("/v1/sandboxes", body).await.expect(201);
        let ready = product.sandbox_is(made["id"].as_str().unwrap(), "running").await;
        let text = |name: &str| ready["connection"][name].as_str().unwrap().to_owned();
        Self { product, url: text("sidecarUrl"), token: text("authToken") }
    }

    /// It names a content type whether or not there is a body.
    fn request(&self, method: Method, path: &str, body: Option<Value>) -> RequestBuilder {
        let request = self.product.http.request(method, format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.token).header(CONTENT_TYPE, "application/json");
        request.body(body.map_or_else(String::new, |body| body.to_string()))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.product.send(self.request(method, path, body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await.expect(200)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, Some(body)).await.expect(200)
    }

    /// A stream to its end, as that client reads it: a line ends with LF alone, the last `data:`
    /// counts, and an event without its name, its data or the empty line after it is lost.
    async fn events(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Vec<(String, Value)> {
        let answer = self.request(method, path, body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        let (mut name, mut data, mut events) = ("", "", Vec::new());
        let (whole, _unended) = text.rsplit_once('\n').unwrap_or_default();
        for line in whole.split('\n') {
            if let Some(rest) = line.strip_prefix("event:") {
                name = rest.trim();
            } else if let Some(rest) = line.strip_prefix("data:") {
                data = rest.trim();
            } else if line.is_empty() && !name.is_empty() && !data.is_empty() {
                events.push((name.to_owned(), serde_json::from_str(data).unwrap()));
                (name, data) = ("", "");
            }
        }
        assert_eq!((name, data), ("", ""), "the last event is lost");
        events
    }
}

/// Whether the client's `new Date(…)` is one.
fn is_date(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_shows_of_a_file_has_the_types_that_it_promises() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    sandbox.post("/files/write", json!({"path": "src/a.ts", "content": "let x;\n"})).await;
    let command = json!({"command": "chmod 640 src/a.ts"});
    assert_eq!(sandbox.post("/terminals/commands", command).await["result"]["exitCode"], 0);
    let listed = sandbox.get("/fs/list/workspace/src?all=true&long=true").await;
    let file = &listed["data"]["entries"][0];
    assert_eq!(&sandbox.get("/fs/stat/workspace/src/a.ts").await["data"], file);
    assert_eq!((&file["name"], &file["path"]), (&json!("a.ts"), &json!("/workspace/src/a.ts")));
    assert_eq!((&file["size"], &file["permissions"]), (&json!(7), &json!(0o640)));
    for (name, is) in [("isDir", false), ("isFile", true), ("isSymlink", false)] {
        assert_eq!(file[name], is, "{name}");
    }
    assert!(file["owner"].is_string() && file["group"].is_string(), "{file}");
    assert!(is_date(&file["modTime"]) && is_date(&file["accessTime"]), "{file}");
    // How it learns where relative paths begin; without an answer it takes the home folder.
    let root = json!({"command": "echo \"$AGENT_WORKSPACE_ROOT\""});
    let root = sandbox.post("/terminals/commands", root).await;
    assert_eq!(root["result"]["stdout"], "/workspace\n");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_shows_of_a_process_has_the_types_that_it_promises() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    let spawn = async |command: &str| {
        let body = json!({"command": command, "blocking": false});
        let started = sandbox.post("/process/spawn", body).await;
        format!("/process/{}", started["data"]["pid"].as_i64().unwrap())
    };
    let ended = async |path: &str| {
        eventually("the process ends", async || {
            let shown = sandbox.get(path).await["data"].clone();
            (shown["running"] == false).then_some(shown)
        })
        .await
    };

    let short = spawn("echo out; echo err >&2; exit 5").await;
    let logs = sandbox.events(Method::GET, &format!("{short}/logs"), None).await;
    let written = |name: &str| {
        let (_, data) = logs.iter().find(|(kind, _)| kind == name).unwrap();
        data["data"].clone()
    };
    assert_eq!((written("stdout"), written("stderr")), (json!("out\n"), json!("err\n")));
    assert_eq!(logs.last().unwrap().0, "exit");
    // Milliseconds, where other places have a date.
    assert!(logs.iter().all(|(_, data)| data["timestamp"].as_i64() > Some(1_600_000_000_000)));
    let shown = ended(&short).await;
    assert_eq!(shown["exitCode"], 5);
    assert!(is_date(&shown["startedAt"]) && is_date(&shown["exitedAt"]), "{shown}");

    let long = spawn("sleep 1000").await;
    let shown = sandbox.get(&long).await["data"].clone();
    assert_eq!((&shown["running"], &shown["exitCode"]), (&json!(true), &json!(-1)), "{shown}");
    let kill = || Some(json!({"signal": "SIGKILL"}));
    sandbox.ask(Method::DELETE, &long, kill()).await.expect(200);
    assert_eq!(ended(&long).await["exitSignal"], "SIGKILL");
    // Whoever ends a process that has just ended by itself made no mistake.
    sandbox.ask(Method::DELETE, &long, kill()).await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_the_one_user_and_no_other() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    let user = sandbox.get("/permissions/users/agent").await;
    assert_eq!(sandbox.get("/permissions/users").await["users"], json!([user]));
    for (name, is) in [("userId", "agent"), ("homeDir", "/home/agent"), ("role", "owner")] {
        assert_eq!(user[name], is, "{name}");
    }
    assert_eq!(user["sshKeys"], json!([]));
    assert!(is_date(&user["createdAt"]), "{user}");
    for (path, action, allowed) in
        [("a", "execute", true), ("/tmp/a", "write", true), ("/etc/passwd", "read", false)]
    {
        let wish = json!({"path": path, "action": action});
        let told = sandbox.post("/permissions/users/agent/check", wish).await;
        assert_eq!(told["allowed"], allowed, "{path} {action}");
    }
    // It makes a `null` of this, and would throw anything else.
    let none = sandbox.ask(Method::GET, "/permissions/users/bob", None).await;
    none.refused(404, "NOT_FOUND");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_spelling_of_a_profile_is_understood_and_told_in_its_types() {
    let product = Product::start().await;
    let profile = json!({
        "name": "careful", "agent": {"systemPrompt": "Be brief."}, "permission": {"bash": "deny"},
        "mcp": {"notes": {"command": "notes", "args": ["--stdio"]}},
    });
    let backend = json!({"backend": {"type": "demo", "inlineProfile": profile}});
    let sandbox = Sandbox::make(&product, backend).await;
    let servers = sandbox.get("/backend/mcp").await;
    assert_eq!(servers, json!({"servers": {"notes": {"status": "stopped"}}}));
    assert!(sandbox.get("/backend/capabilities").await["contextWindow"].is_u64());
    let typo = json!({"backend": {"inlineProfile": {"permision": {"bash": "deny"}}}});
    product.post("/v1/sandboxes", typo).await.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_that_its_profile_names_answers_the_turns() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let product = Product::start_with(|config| {
        config.models.model_url = Some(url);
        config.models.model_key = Some("sk-0123456789".into());
    })
    .await;
    let backend = |beside: Value| {
        let mut backend = beside;
        backend["type"] = "skein".into();
        backend["inlineProfile"] = json!({"name": "quick", "model": "custom/scripted-2"});
        json!({"backend": backend})
    };
    let sandbox = Sandbox::make(&product, backend(json!({}))).await;
    let prompt = json!({"identifier": "default", "message": "SAY[Done.]", "sessionId": "s1"});
    sandbox.events(Method::POST, "/agents/run/stream", Some(prompt)).await;
    let asked: Vec<_> = model.requests().into_iter().map(|request| request.model).collect();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == "scripted-2"), "{asked:?}");

    let same = json!({"model": {"provider": "custom", "model": "scripted-2"}});
    product.post("/v1/sandboxes", backend(same)).await.expect(201);
    let other = json!({"model": {"provider": "custom", "model": "scripted-1"}});
    let refused = product.post("/v1/sandboxes", backend(other)).await;
    let refused = refused.refused(400, "VALIDATION_ERROR");
    assert!(refused["message"].as_str().unwrap().contains("not the same"), "{refused}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_it_glues_to_a_route_is_one_of_the_workspace() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    sandbox.post("/files/write", json!({"path": "src/a.ts", "content": "let x;\n"})).await;
    sandbox.post("/files/write", json!({"path": "us", "content": "u"})).await;
    let names = async |path: &str| {
        let listed = sandbox.get(path).await["data"]["entries"].take();
        let entries = listed.as_array().unwrap().clone();
        entries.into_iter().map(|mut entry| entry["path"].take()).collect::<Vec<_>>()
    };
    // fs.list("/"), fs.list(""), fs.list("src"): the root is what a caller can see of it.
    for path in ["/fs/list/?all=true&long=true", "/fs/list/", "/fs/list"] {
        assert_eq!(names(path).await, ["/workspace/src", "/workspace/us"], "{path}");
    }
    assert_eq!(names("/fs/listsrc?all=true").await, ["/workspace/src/a.ts"]);
    // fs.stat("src/a.ts"), fs.stat("us"), fs.stat("/")
    for (path, is) in [
        ("/fs/statsrc/a.ts", "/workspace/src/a.ts"),
        ("/fs/status", "/workspace/us"),
        ("/fs/stat/", "/workspace"),
    ] {
        assert_eq!(sandbox.get(path).await["data"]["path"], is, "{path}");
    }
    assert_eq!(sandbox.get("/fs/existssrc/a.ts").await["data"]["exists"], true);
    assert_eq!(sandbox.get("/fs/existsa.ts").await["data"]["exists"], false);
    let made = sandbox.ask(Method::POST, "/fs/mkdirnew/one?recursive=true", None).await;
    assert_eq!(made.expect(200)["data"]["path"], "/workspace/new/one");
    let bytes = sandbox.request(Method::GET, "/fs/downloadsrc/a.ts", None).send().await.unwrap();
    assert_eq!(bytes.text().await.unwrap(), "let x;\n");

    // fs.delete("us"), fs.delete("src", { recursive: true })
    for (path, removed) in [("/fsus", "/workspace/us"), ("/fssrc?recursive=true", "/workspace/src")]
    {
        let gone = sandbox.ask(Method::DELETE, path, None).await.expect(200);
        assert_eq!(gone["data"]["path"], removed, "{path}");
        sandbox.ask(Method::DELETE, path, None).await.refused(404, "NOT_FOUND");
    }
    // fs.delete("/"), fs.delete("../etc"), fs.delete("/workspace")
    for path in ["/fs/", "/fs/?recursive=true", "/fs../etc", "/fs..%2fetc"] {
        sandbox.ask(Method::DELETE, path, None).await.refused(403, "FORBIDDEN");
    }
    sandbox.ask(Method::DELETE, "/fs/workspace", None).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(names("/fs/list/").await, ["/workspace/new"]);

    for path in ["/fs/stat..%2f..%2fetc%2fpasswd", "/fs/lista%2f..%2f..%2f..%2fetc"] {
        sandbox.ask(Method::GET, path, None).await.refused(403, "FORBIDDEN");
    }
    for (method, path) in [(Method::GET, "/fs/src/a.ts"), (Method::POST, "/fs/statsrc")] {
        sandbox.ask(method, path, None).await.refused(405, "METHOD_NOT_ALLOWED");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_it_uploads_without_a_place_is_in_the_home_folder() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    // It looks at no exit code: what fails here would be lost without a word.
    for command in [
        "mkdir -p '/home/user'",
        "printf hi > a && tar -cf - a | base64 | base64 -d | tar -xf - -C '/home/user'",
    ] {
        let done = sandbox.post("/terminals/commands", json!({"command": command})).await;
        assert_eq!(done["result"]["exitCode"], 0, "{done}");
    }
    for path in ["/home/agent/a", "/home/user/a"] {
        let read = sandbox.post("/files/read", json!({"path": path})).await;
        assert_eq!(read["data"]["content"], "hi", "{path}");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_gives_it_the_whole_answer_and_a_wrong_model_its_reason() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    let run = "/agents/run/stream";
    let prompt = json!({
        "identifier": "default", "message": "Say hello", "sessionId": "s1", "metadata": {"a": 1},
    });
    let events = sandbox.events(Method::POST, run, Some(prompt)).await;
    assert!(events.iter().all(|(kind, _)| kind != "error"), "{events:?}");
    let (_, result) = events.iter().find(|(kind, _)| kind == "result").unwrap();
    assert!(!result["finalText"].as_str().unwrap().is_empty());
    for count in ["inputTokens", "outputTokens"] {
        assert!(result["tokenUsage"][count].is_u64(), "{result}");
    }
    let (first, trace) = &events[0];
    assert_eq!((first.as_str(), &trace["traceId"]), ("trace.id", &result["metadata"]["traceId"]));
    assert!(trace["traceId"].is_string());
    // `model: "nobody/a/b"` as it splits it. All that its caller sees of a refusal is the message.
    let model = json!({"provider": "nobody", "model": "a/b"});
    let wrong =
        json!({"identifier": "default", "message": "Say hello", "backend": {"model": model}});
    let refused = sandbox.ask(Method::POST, run, Some(wrong)).await;
    assert!(refused.status.is_client_error(), "{}", refused.body);
    assert!(refused.body["message"].as_str().unwrap().contains("nobody"), "{}", refused.body);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_it_sends_within_a_command_arrives_whole() {
    let product = Product::start().await;
    let sandbox = Sandbox::make(&product, json!({})).await;
    // Longer than any argument of a program can be, and every line counts.
    let lines: String = (0..60_000).map(|number| format!("{number:06} x\n")).collect();
    let script = |end: &str| {
        format!("cat > sent <<'END'\n{lines}END\nmd5sum < sent | cut -c-8; cat; echo $0; {end}")
    };
    let command = json!({"command": script("exit 3"), "env": {"A": "b"}, "cwd": "/workspace"});
    let done = sandbox.post("/terminals/commands", command).await["result"].take();
    assert_eq!((&done["exitCode"], &done["stderr"]), (&json!(3), &json!("")), "{done}");
    let short = json!({"command": "md5sum < sent | cut -c-8; wc -c < sent; cat; echo $0"});
    let again = sandbox.post("/terminals/commands", short).await["result"].take();
    let sum = again["stdout"].as_str().unwrap().lines().next().unwrap().to_owned();
    assert_eq!(again["stdout"], format!("{sum}\n{}\n/bin/bash\n", lines.len()));
    assert_eq!(done["stdout"], format!("{sum}\n/bin/bash\n"));

    let streamed = json!({"command": script("true")});
    let told = sandbox.events(Method::POST, "/terminals/commands/stream", Some(streamed)).await;
    assert_eq!(told[0].1["data"].as_str().unwrap().lines().next(), Some(sum.as_str()));
    // Nothing of it is run where it can't be read.
    let nowhere = json!({"command": script("true"), "env": {"PATH": "/none"}});
    let done = sandbox.post("/terminals/commands", nowhere).await["result"].take();
    assert_eq!((&done["exitCode"], &done["stdout"]), (&json!(127), &json!("")), "{done}");
    let large = json!({"command": "#".repeat(5 << 20)});
    for path in ["/terminals/commands", "/terminals/commands/stream"] {
        sandbox
            .ask(Method::POST, path, Some(large.clone()))
            .await
            .refused(413, "PAYLOAD_TOO_LARGE");
    }
    product.stop().await;
}
