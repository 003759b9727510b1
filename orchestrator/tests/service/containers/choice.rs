//! Which drivers there are, which one a sandbox gets, and what they say of themselves.

use std::{fs, os::unix::fs::PermissionsExt};

use orchestrator::driver::DriverKind;
use serde_json::{Value, json};

use super::engine::{Engine, IMAGE};
use crate::support::Product;

on_every_engine!(the_driver_says_what_isolates_and_who_keeps_the_limits);

async fn made(product: &Product, body: Value) -> String {
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    product.sandbox_is(&id, "running").await;
    id
}

async fn driver_of(product: &Product, id: &str) -> Value {
    product.get(&format!("/v1/sandboxes/{id}/driver")).await.expect(200)
}

async fn the_driver_says_what_isolates_and_who_keeps_the_limits(engine: &Engine) {
    let product = engine.product().await;
    let id = product.sandbox().await;
    let driver = driver_of(&product, &id).await;
    let isolation = if engine.kind == DriverKind::Gvisor { "gvisor" } else { "container" };
    assert_eq!(
        (&driver["type"], &driver["kind"], &driver["isolation"], &driver["uid"]),
        (&json!("docker"), &json!(engine.kind.name()), &json!(isolation), &json!("pool"))
    );
    assert!(!driver["version"].as_str().unwrap().is_empty(), "{driver}");
    let limits = &driver["limits"];
    for limit in ["memory", "processes", "cpu"] {
        assert!(limits[limit].as_str().unwrap().starts_with("cgroup-v"), "{limit}: {driver}");
    }
    assert_eq!((&limits["disk"], &limits["time"]), (&json!("watchdog"), &json!("sidecar")));
    let warns = |words: &str| driver["warnings"].to_string().contains(words);
    assert!(warns("runs as root"), "{driver}");
    assert!(engine.kind == DriverKind::Gvisor || !warns("older than a year"), "{driver}");
    assert_eq!(warns("share the kernel"), engine.kind != DriverKind::Gvisor, "{driver}");

    let listed = product.get("/drivers").await.expect(200);
    let [listed] = listed["drivers"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&listed["kind"], &listed["available"], &listed["version"]),
        (&json!(engine.kind.name()), &json!(true), &driver["version"])
    );
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_is_not_enabled_or_not_known_is_not_allowed() {
    let product = Product::start().await;
    for kind in ["docker", "podman", "gvisor", "firecracker"] {
        let body = json!({"driver": {"type": kind}, "image": IMAGE});
        let refused = product.post("/v1/sandboxes", body).await.refused(403, "FORBIDDEN");
        let words = refused["message"].as_str().unwrap();
        assert!(words.ends_with("must be one of bubblewrap, host-agent"), "{kind}: {words}");
    }
    let listed = product.get("/drivers").await.expect(200);
    assert_eq!(listed["drivers"].as_array().unwrap().len(), 1, "{listed}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_not_there_is_told_of_and_stands_in_nobodys_way() {
    let product = Product::start_with(|config| {
        config.containers.drivers = vec![DriverKind::Bubblewrap, DriverKind::Docker];
        config.containers.docker = Some("/nowhere/docker".into());
        config.containers.image = Some(IMAGE.to_owned());
    })
    .await;
    let listed = product.get("/drivers").await.expect(200);
    let (first, second) = (&listed["drivers"][0], &listed["drivers"][1]);
    assert_eq!((&first["kind"], &first["available"]), (&json!("bubblewrap"), &json!(true)));
    assert_eq!((&second["kind"], &second["available"]), (&json!("docker"), &json!(false)));
    let reason = second["reason"].as_str().unwrap();
    assert!(reason.contains("SKEIN_DOCKER") && reason.contains("/nowhere/docker"), "{reason}");
    let body = json!({"driver": {"type": "docker"}});
    let refused = product.post("/v1/sandboxes", body).await.refused(503, "UNAVAILABLE");
    assert!(refused["message"].as_str().unwrap().contains("SKEIN_DOCKER"), "{refused}");
    let id = product.sandbox().await;
    assert_eq!(driver_of(&product, &id).await["kind"], "bubblewrap");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_and_bubblewrap_run_side_by_side() {
    let Some(docker) = Engine::find(DriverKind::Docker).await else { return };
    if Engine::find(DriverKind::Podman).await.is_none() {
        return;
    }
    let product = Product::start_with(|config| {
        docker.set(config);
        config.containers.drivers =
            vec![DriverKind::Bubblewrap, DriverKind::Docker, DriverKind::Podman];
    })
    .await;
    let mut users = Vec::new();
    for (body, kind, expected) in [
        (json!({}), "bubblewrap", "/usr/bin/env"),
        (json!({"driver": {"type": "docker"}}), "docker", "/bin/busybox"),
        (json!({"driver": {"type": "podman"}}), "podman", "/bin/busybox"),
        // Who asks for an image gets one.
        (json!({"image": IMAGE}), "docker", "/bin/busybox"),
    ] {
        let id = made(&product, body).await;
        assert_eq!(driver_of(&product, &id).await["kind"], kind);
        let result = product.exec(&id, "ls /usr/bin/env /bin/busybox 2> /dev/null; id -u").await;
        let text = result["stdout"].as_str().unwrap();
        let (tool, user) = text.trim().split_once('\n').unwrap();
        assert_eq!(tool, expected, "{kind}: {result}");
        users.push(user.to_owned());
    }
    let all = users.len();
    users.sort();
    users.dedup();
    assert_eq!(users.len(), all, "each has a uid of its own, whatever runs it");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_on_another_machine_is_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker");
    // As with DOCKER_HOST, or a context of that kind.
    let words =
        "#!/bin/sh\ncase $1 in context) echo tcp://127.0.0.1:2375;; *) touch $0.used;; esac\n";
    fs::write(&program, words).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let product = Product::start_with(|config| {
        config.containers.drivers = vec![DriverKind::Docker];
        config.containers.docker = Some(program.clone());
        config.containers.image = Some(IMAGE.to_owned());
    })
    .await;
    let listed = product.get("/drivers").await.expect(200);
    let reason = listed["drivers"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("tcp://127.0.0.1:2375") && reason.contains("Unix socket"), "{reason}");
    product.post("/v1/sandboxes", json!({})).await.refused(503, "UNAVAILABLE");
    assert!(!folder.path().join("docker.used").exists());
    product.stop().await;
}
