//! Sandboxes and projects: made, found, waited for, deleted.

use std::time::Duration;

use sandbox_sdk::{
    client::{Error, ListSandboxes, WaitOptions},
    types::{CreateProject, CreateSandbox, SandboxStatus},
};
use serde_json::json;

use crate::service::{Service, sandbox};

#[tokio::test]
async fn a_sandbox_is_made_found_listed_stopped_resumed_and_deleted() {
    let service = Service::default()
        .then(201, sandbox("provisioning"))
        .then(200, sandbox("ready"))
        .then(404, json!({"error": {"code": "NOT_FOUND", "message": "no"}}))
        .then(200, json!({"sandboxes": [sandbox("running")]}))
        .then(200, sandbox("stopped"))
        .then(200, json!({"success": true}))
        .then(200, sandbox("running"))
        .then(200, json!({"success": true}))
        .then(404, json!({"code": "NOT_FOUND"}));
    let client = service.clone().start().await;
    let sandboxes = client.sandboxes();

    let create = CreateSandbox { name: Some("box".into()), ..CreateSandbox::default() };
    assert_eq!(sandboxes.create(&create).await.unwrap().status, SandboxStatus::Provisioning);
    let found = sandboxes.get("sandbox-1").await.unwrap().unwrap();
    assert_eq!(found.status, SandboxStatus::Running);
    assert_eq!(sandboxes.get("sandbox-2").await.unwrap(), None);
    let list = ListSandboxes {
        status: vec![SandboxStatus::Running, SandboxStatus::Stopped],
        limit: Some(10),
        offset: None,
    };
    assert_eq!(sandboxes.list(&list).await.unwrap().len(), 1);
    assert_eq!(sandboxes.stop("sandbox-1").await.unwrap().status, SandboxStatus::Stopped);
    // An answer without a sandbox in it: the client looks itself.
    assert_eq!(sandboxes.resume("sandbox-1").await.unwrap().status, SandboxStatus::Running);
    sandboxes.delete("sandbox-1").await.unwrap();
    sandboxes.delete("sandbox-1").await.unwrap();

    assert_eq!(
        service.lines(),
        [
            "POST /v1/sandboxes",
            "GET /v1/sandboxes/sandbox-1",
            "GET /v1/sandboxes/sandbox-2",
            "GET /v1/sandboxes?status=running&status=stopped&limit=10",
            "POST /v1/sandboxes/sandbox-1/stop",
            "POST /v1/sandboxes/sandbox-1/resume",
            "GET /v1/sandboxes/sandbox-1",
            "DELETE /v1/sandboxes/sandbox-1",
            "DELETE /v1/sandboxes/sandbox-1",
        ]
    );
    assert_eq!(service.seen()[0].body, json!({"name": "box"}));
}

#[tokio::test]
async fn projects_are_read_in_their_envelope() {
    let project = json!({"projectRef": "sandbox-1", "status": "suspended"});
    let service = Service::default()
        .then(201, json!({"project": project}))
        .then(200, project)
        .then(200, json!({"success": true}));
    let client = service.clone().start().await;
    let create = CreateProject { project_ref: Some("sandbox-1".into()), ..Default::default() };
    assert_eq!(client.projects().create(&create).await.unwrap().project_ref, "sandbox-1");
    let found = client.projects().get("sandbox-1").await.unwrap().unwrap();
    assert_eq!(found.status, SandboxStatus::Stopped);
    client.projects().delete("sandbox-1").await.unwrap();
    assert_eq!(service.seen()[0].body, json!({"projectRef": "sandbox-1", "container": {}}));
}

#[tokio::test]
async fn waiting_ends_with_the_wanted_state() {
    let service = Service::default()
        .then(200, sandbox("provisioning"))
        .then(200, sandbox("pending"))
        .then(200, sandbox("degraded"));
    let client = service.clone().start().await;
    let options = WaitOptions::default();
    let ready = client.sandboxes().wait_for("sandbox-1", SandboxStatus::Running, options).await;
    assert_eq!(ready.unwrap().id, "sandbox-1");
    assert_eq!(service.seen().len(), 3);
}

#[tokio::test]
async fn waiting_for_a_sandbox_that_is_lost_says_so_at_once() {
    let mut failed = sandbox("failed");
    failed["error"] = json!("no space left");
    let service = Service::default().then(200, failed).then(404, json!({"code": "NOT_FOUND"}));
    let client = service.start().await;
    for expected in [SandboxStatus::Failed, SandboxStatus::Deleted] {
        let options = WaitOptions::default();
        let lost = client.sandboxes().wait_for("sandbox-1", SandboxStatus::Running, options).await;
        match lost.unwrap_err() {
            Error::SandboxLost { status, .. } => assert_eq!(status, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn waiting_ends_with_its_time() {
    let mut service = Service::default();
    for _ in 0..50 {
        service = service.then(200, sandbox("provisioning"));
    }
    let client = service.start().await;
    let options = WaitOptions { timeout: Duration::from_millis(200), ..WaitOptions::default() };
    let waited = client.sandboxes().wait_for("sandbox-1", SandboxStatus::Running, options).await;
    assert!(matches!(waited, Err(Error::Timeout(_))), "{waited:?}");
}
