//! What a sandbox is made with: done, refused, or named; and kept from everybody else.

use std::{fs, path::Path};

use reqwest::Method;
use scripted_model::ScriptedModel;
use serde_json::{Value, json};

use crate::support::{Process, Product, sql};

#[tokio::test(flavor = "multi_thread")]
async fn a_created_sandbox_can_be_used_at_once() {
    let product = Product::start().await;
    for path in ["/v1/sandboxes", "/projects"] {
        let made = product.post(path, json!({"container": {}})).await.expect(201);
        let made = if made["project"].is_object() { &made["project"] } else { &made };
        assert_eq!(made["status"], "running", "{made}");
        let url = made["connection"]["sidecarUrl"].as_str().unwrap();
        let token = made["connection"]["authToken"].as_str().unwrap();
        let request = product.http.post(format!("{url}/terminals/commands")).bearer_auth(token);
        let answer = product.send(request.json(&json!({"command": "echo at once"}))).await;
        assert_eq!(answer.expect(200)["result"]["stdout"], "at once\n");
        assert_eq!(made["connection"]["runtimeUrl"], url);
        assert!(made["connection"]["authTokenExpiresAt"].as_str().unwrap().ends_with('Z'));
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_acted_on_is_refused_or_named_and_never_dropped() {
    let product = Product::start().await;
    for (body, status, code) in [
        (json!({"privileged": true}), 400, "VALIDATION_ERROR"),
        (json!({"hostNetwork": true}), 400, "VALIDATION_ERROR"),
        (json!({"volumes": {"/": "/host"}}), 400, "VALIDATION_ERROR"),
        (json!({"git": {"url": "https://example.com/a.git"}}), 400, "VALIDATION_ERROR"),
        (json!({"fromSnapshot": "snap-1"}), 400, "VALIDATION_ERROR"),
        (json!({"storage": {"type": "s3", "bucket": "b"}}), 400, "VALIDATION_ERROR"),
        (json!({"network": {"allowList": ["https://a.example"]}}), 400, "VALIDATION_ERROR"),
        (json!({"network": {"ports": [80]}}), 400, "VALIDATION_ERROR"),
        (json!({"bare": true}), 501, "NOT_IMPLEMENTED"),
        (json!({"tools": {"fortran": "77"}}), 501, "NOT_IMPLEMENTED"),
        (json!({"tools": {"git": 2.10}}), 400, "VALIDATION_ERROR"),
        (json!({"env": {"PATH": "hunter2"}}), 400, "VALIDATION_ERROR"),
        (json!({"env": {"HOME": "/root"}}), 400, "VALIDATION_ERROR"),
        (json!({"driver": {"type": "firecracker"}}), 403, "FORBIDDEN"),
        (json!({"driver": {"gpuRequired": true, "gpuCount": 2}}), 501, "NOT_IMPLEMENTED"),
        (json!({"driver": {"minHostSpecs": {"cpuCores": 512}}}), 501, "NOT_IMPLEMENTED"),
        (json!({"driver": {"enableCriu": true}}), 501, "NOT_IMPLEMENTED"),
        (json!({"driver": {"targetHostIds": ["host-1"]}}), 501, "NOT_IMPLEMENTED"),
        (json!({"backend": {"type": "none-such"}}), 400, "VALIDATION_ERROR"),
        (json!({"backend": {"type": "demo", "profile": "reckless"}}), 400, "VALIDATION_ERROR"),
        (json!({"secrets": ["NONE_SUCH"]}), 400, "VALIDATION_ERROR"),
    ] {
        let answer = product.post("/v1/sandboxes", body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.body);
        let refused = answer.refused(status, code);
        let is_told = refused["feature"].is_string() && refused["reason"].is_string();
        assert!(status != 501 || is_told, "{refused}");
    }
    let project = json!({"container": {"mounts": ["/"]}});
    product.post("/projects", project).await.refused(400, "VALIDATION_ERROR");
    let files = json!({"type": "codex", "authFiles": [{"path": "a", "content": "b"}]});
    let project = json!({"container": {}, "backend": files});
    product.post("/projects", project).await.refused(501, "NOT_IMPLEMENTED");
    let hard = json!({"resources": {"strict": true, "diskGB": 1}});
    let refused = product.post("/v1/sandboxes", hard).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(
        (&refused["reason"], &refused["limits"]),
        (&json!("LIMIT_NOT_HARD"), &json!(["disk"]))
    );
    assert_eq!(product.get("/v1/sandboxes").await.expect(200)["total"], 0, "nothing was made");

    let odd = json!({"image": "node:22", "sshEnabled": true, "flavour": "sweet"});
    let made = product.post("/v1/sandboxes", odd).await.expect(201);
    let warnings = made["warnings"].as_array().unwrap();
    for name in ["image", "sshEnabled", "flavour"] {
        assert!(
            warnings.iter().any(|words| words.as_str().unwrap().contains(name)),
            "{warnings:?}"
        );
    }
    assert!(!made.to_string().contains("sweet"));
    let plain = json!({"name": "a", "resources": {"cpu": 1, "memory": 256, "storage": 64}});
    let made = product.post("/v1/sandboxes", plain).await.expect(201);
    assert_eq!(made["warnings"], Value::Null);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_found_beside_those_of_the_folders_that_are_given() {
    let product = Product::start().await;
    let env = json!({"PATH": "/workspace/bin:/none", "HOME": "/workspace/home"});
    let made = product.post("/v1/sandboxes", json!({"env": env})).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let command = "mkdir bin && printf '#!/bin/sh\necho mine' > bin/uname && chmod +x bin/uname && \
                   uname && cat /dev/null && echo $HOME";
    assert_eq!(product.exec(id, command).await["stdout"], "mine\n/workspace/home\n");
    for name in ["PATH", "HOME"] {
        let secret = json!({"name": name, "value": "x"});
        product.post("/v1/secrets", secret).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idempotency_key_may_stand_in_the_header() {
    let product = Product::start().await;
    let create = async |header: &str, body: Value| {
        let request = product.request(Method::POST, "/v1/sandboxes");
        product.send(request.header("idempotency-key", header).json(&body)).await
    };
    let first = create("chat-1", json!({})).await.expect(201);
    assert_eq!(first["outcome"], "created");
    let second = create("chat-1", json!({"idempotencyKey": "chat-1"})).await.expect(200);
    assert_eq!((&second["outcome"], &second["id"]), (&json!("idempotent_replay"), &first["id"]));
    let third = product.post("/v1/sandboxes", json!({"idempotencyKey": "chat-1"})).await;
    assert_eq!(third.expect(200)["id"], first["id"]);
    assert_eq!(second.get("warnings"), None);
    let other = create("chat-1", json!({"env": {"A": "secret"}})).await.expect(200);
    assert_eq!(other["id"], first["id"]);
    let warnings = other["warnings"].to_string();
    assert!(warnings.contains("env") && !warnings.contains("secret"), "{warnings}");
    let two = create("chat-1", json!({"idempotencyKey": "chat-2"})).await;
    two.refused(400, "VALIDATION_ERROR");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxs_own_backend_runs_the_turns_that_name_none() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let product = Product::start_with(|config| {
        config.models.model_url = Some(url);
        config.models.default_agent = Some("skein".to_owned());
    })
    .await;
    let body = json!({"backend": {"type": "demo"}});
    let id = product.post("/v1/sandboxes", body).await.expect(201)["id"].clone();
    let id = id.as_str().unwrap();
    product.dispatch(id, "s1", "t1", "run: true").await.expect(202);
    assert_eq!(product.record(id, "s1", "t1").await["model"], "demo");
    let plain = product.sandbox().await;
    product.dispatch(&plain, "s2", "t1", "run: true").await.expect(202);
    assert_ne!(product.record(&plain, "s2", "t1").await["model"], "demo", "it has no choice");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxs_profile_holds_for_a_turn_that_names_an_agent() {
    let product = Product::start().await;
    let body = json!({"backend": {"profile": "read-only"}});
    let id = product.post("/v1/sandboxes", body).await.expect(201)["id"].clone();
    let id = id.as_str().unwrap();
    let messages = format!("{}/messages", product.session_path(id, "s1"));
    let parts = json!([{"type": "text", "text": "run: touch proof"}]);
    let turn = json!({"turnId": "t1", "parts": parts, "backend": {"type": "demo"}});
    product.post(&messages, turn).await.expect(202);
    let record = product.record(id, "s1", "t1").await;
    assert!(record["parts"].to_string().contains("not allowed"), "{record}");
    assert_ne!(product.exec(id, "cat proof").await["exitCode"], 0);
    product.stop().await;
}

/// Whether any file of the orchestrator's own holds the text. A sandbox's files are its own.
fn stands_in(data: &Path, text: &str) -> Vec<String> {
    let files = fs::read_dir(data.join("orchestrator")).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .filter(|path| {
            let bytes = fs::read(path).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
        .map(|path| path.display().to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_of_a_create_stands_in_the_database_in_a_log_or_in_an_answer() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let process = Process::start_logging(data.path(), &log).await;
    let product = &process.product;
    let body = json!({
        "name": "told-to-everyone",
        "idempotencyKey": "also-told",
        "env": {"TOKEN": "hidden-in-env"},
        "backend": {"type": "skein", "model": {"provider": "custom", "model": "m",
            "apiKey": "hidden-in-model", "baseUrl": "https://api.example.com/v1"}},
        "flavour": {"token": "hidden-in-flavour"},
        "metadata": {"told": "metadata"},
    });
    let made = product.post("/v1/sandboxes", body.clone()).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(product.exec(&id, "echo $TOKEN").await["stdout"], "hidden-in-env\n");
    let path = format!("/v1/sandboxes/{id}");
    let update = product.request(Method::PATCH, &path).json(&json!({"name": "new"}));
    product.send(update).await.expect(200);
    let events = product.request(Method::GET, &format!("{path}/events"));
    let events = product.events(events, 4).await;
    let again = product.post("/v1/sandboxes", body).await.expect(200);
    let told = [made, product.get(&path).await.expect(200), again, json!(format!("{events:?}"))];
    for told in &told {
        assert!(!told.to_string().contains("hidden"), "{told}");
    }
    // With a log of the database that has not been written back, and without.
    assert_eq!(stands_in(data.path(), "hidden"), Vec::<String>::new());
    assert!(!stands_in(data.path(), "also-told").is_empty(), "the search finds what is there");
    assert!(process.terminate().await.success());
    assert_eq!(stands_in(data.path(), "hidden"), Vec::<String>::new());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(&id) && !log.contains("hidden"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_left_open_is_sealed_and_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    let id = product.sandbox().await;
    product.exec(&id, "echo kept > file").await;
    product.stop().await;
    // Both are longer than a page of the file, and the second was deleted before the upgrade.
    let env = json!({"TOKEN": "left-open", "LONG": "left-open ".repeat(2000)});
    let open = json!({"env": env, "idempotencyKey": "k"}).to_string();
    let gone = open.replace("left-open", "left-behind");
    for statement in [
        format!("UPDATE sandboxes SET request = '{open}'"),
        format!(
            "INSERT INTO sandboxes (id, request, status, created_at, last_activity_at)
             VALUES ('gone', '{gone}', 'stopped', 1, 1)"
        ),
        "DELETE FROM sandboxes WHERE id = 'gone'".to_owned(),
        // An older version knows no such mark.
        "DELETE FROM meta WHERE key = 'scrubbed'".to_owned(),
    ] {
        sql(data.path(), &statement).await;
    }
    for trace in ["left-open", "left-behind"] {
        assert!(!stands_in(data.path(), trace).is_empty(), "{trace} is there to be removed");
    }
    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    assert_eq!(product.exec(&id, "cat file; echo $TOKEN").await["stdout"], "kept\nleft-open\n");
    let request = sql(data.path(), "SELECT request FROM sandboxes").await;
    assert!(request[0].starts_with("sealed:"), "{request:?}");
    // With a log of the database that has not been written back, and without.
    assert_eq!(stands_in(data.path(), "left-"), Vec::<String>::new(), "not even a trace");
    product.stop().await;
    assert_eq!(stands_in(data.path(), "left-"), Vec::<String>::new(), "not even a trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_does_not_understand_is_kept_and_said_to_be_that() {
    let data = tempfile::tempdir().unwrap();
    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    let id = product.sandbox().await;
    product.exec(&id, "echo kept > file").await;
    product.stop().await;
    sql(data.path(), r#"UPDATE sandboxes SET request = '{"env": "not-understood"}'"#).await;
    let path = format!("/v1/sandboxes/{id}");
    // As it was left, and sealed.
    for _ in 0..2 {
        let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
        assert_eq!(product.exec(&id, "cat file").await["stdout"], "kept\n");
        let warning = product.get(&path).await.expect(200)["warnings"][0].clone();
        let warning = warning.as_str().unwrap();
        assert!(warning.contains("does not understand"), "{warning}");
        assert!(!warning.contains("signing secret"), "{warning}");
        let update = product.request(Method::PATCH, &path).json(&json!({"name": "new"}));
        product.send(update).await.refused(409, "INVALID_STATE");
        product.stop().await;
        let request = sql(data.path(), "SELECT request FROM sandboxes").await;
        assert!(request[0].starts_with("sealed:"), "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_another_signing_secret_a_sandbox_keeps_its_files_and_says_what_it_lost() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), 0).await;
    let body = json!({
        "env": {"TOKEN": "lost"}, "name": "mine", "idempotencyKey": "chat-1",
        "maxLifetimeSeconds": 600,
    });
    let made = first.product.post("/v1/sandboxes", body.clone()).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let ends = made["expiresAt"].as_str().unwrap();
    first.product.exec(&id, "echo kept > file").await;
    assert!(first.terminate().await.success());
    let other = ("ORCHESTRATOR_SIGNING_SECRET", "another-secret-of-enough-characters");
    let second = Process::start_with(data.path(), 0, &[other]).await;
    let product = &second.product;
    let path = format!("/v1/sandboxes/{id}");
    assert_eq!(product.exec(&id, "cat file; echo [$TOKEN]").await["stdout"], "kept\n[]\n");
    let sandbox = product.get(&path).await.expect(200);
    let warnings = &sandbox["warnings"];
    assert!(warnings[0].as_str().unwrap().contains("signing secret"), "{warnings}");
    assert_eq!((&sandbox["expiresAt"], &sandbox["name"]), (&json!(ends), &Value::Null));
    assert_eq!(product.post("/v1/sandboxes", body).await.expect(200)["id"], id.as_str());
    let update = product.request(Method::PATCH, &path).json(&json!({"name": "new"}));
    product.send(update).await.refused(409, "INVALID_STATE");
    assert!(second.terminate().await.success());
    // With the right one all of it is there again.
    let third = Process::start(data.path(), 0).await;
    assert_eq!(third.product.exec(&id, "echo $TOKEN").await["stdout"], "lost\n");
    assert_eq!(third.product.get(&path).await.expect(200)["name"], "mine");
    assert!(third.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_there_needs_no_installing() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let install = format!("/v1/sandboxes/{id}/runtime/tools/install");
    let none = json!({"tool": "fortran", "version": "77"});
    product.post(&install, none).await.refused(501, "NOT_IMPLEMENTED");
    let version = product.exec(&id, "git --version").await["stdout"].as_str().unwrap().to_owned();
    let Some(version) = version.split_whitespace().nth(2) else {
        eprintln!("skipped: sandboxes have no git on this machine");
        return product.stop().await;
    };
    for path in [&install, &format!("/v1/sandboxes/{id}/runtime/tools/use")] {
        let there = product.post(path, json!({"tool": "git", "version": version})).await;
        assert_eq!(there.expect(200)["version"], version);
    }
    let made = product.post("/v1/sandboxes", json!({"tools": {"git": "latest"}})).await.expect(201);
    assert_eq!(made["warnings"], Value::Null);
    let old = json!({"tools": {"git": "0.1"}});
    let refused = product.post("/v1/sandboxes", old).await.refused(501, "NOT_IMPLEMENTED");
    assert!(refused["message"].as_str().unwrap().contains(version), "{refused}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_environment_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let product = Product::start_with(|config| config.data = data.path().to_owned()).await;
    let secret = json!({"name": "API_TOKEN", "value": "hidden-1"});
    let made = product.post("/v1/secrets", secret.clone()).await.expect(201);
    assert_eq!((&made["name"], &made["createdAt"]), (&json!("API_TOKEN"), &made["updatedAt"]));
    product.post("/v1/secrets", secret).await.refused(409, "INVALID_STATE");
    let body = json!({"secrets": ["API_TOKEN"], "env": {"PLAIN": "p"}});
    let id = product.post("/v1/sandboxes", body).await.expect(201)["id"].clone();
    let id = id.as_str().unwrap();
    assert_eq!(product.exec(id, "echo $API_TOKEN $PLAIN").await["stdout"], "hidden-1 p\n");

    let path = "/v1/secrets/API_TOKEN";
    let update = product.request(Method::PATCH, path).json(&json!({"value": "hidden-2"}));
    product.send(update).await.expect(200);
    let shown = product.get(path).await;
    assert_eq!(shown.headers["cache-control"], "no-store");
    assert_eq!(shown.expect(200)["value"], "hidden-2");
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    assert_eq!(product.exec(id, "echo $API_TOKEN").await["stdout"], "hidden-2\n", "the next start");
    let told = [
        product.get("/v1/secrets").await.expect(200),
        product.get(&format!("/v1/sandboxes/{id}")).await.expect(200),
    ];
    assert_eq!(told[0]["secrets"][0]["name"], "API_TOKEN");
    assert!(told.iter().all(|told| !told.to_string().contains("hidden")), "{told:?}");
    assert_eq!(stands_in(data.path(), "hidden"), Vec::<String>::new());

    product.delete(path).await.expect(200);
    product.get(path).await.refused(404, "NOT_FOUND");
    product.delete(path).await.refused(404, "NOT_FOUND");
    product.post(&format!("/v1/sandboxes/{id}/stop"), json!({})).await.expect(200);
    assert_eq!(product.exec(id, "echo [$API_TOKEN]").await["stdout"], "[]\n", "not lost with it");
    for bad in [
        json!({"name": "a b", "value": "x"}),
        json!({"name": "LD_PRELOAD", "value": "x"}),
        json!({"name": "", "value": "x"}),
        json!({"name": "A", "value": "\u{0}"}),
        json!({"name": "A", "value": "x".repeat(64 * 1024 + 1)}),
    ] {
        product.post("/v1/secrets", bad).await.refused(400, "VALIDATION_ERROR");
    }
    let open = product.http.get(format!("{}/v1/secrets", product.base));
    product.send(open).await.refused(401, "AUTH_ERROR");
    product.stop().await;
}
