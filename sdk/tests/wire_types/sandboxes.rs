//! Sandboxes, and the records of what happens in them.

use sandbox_sdk::types::{
    Connection, CreateProject, CreateSandbox, Resources, Sandbox, SandboxStatus, SessionStatus,
    TurnRecord, TurnResult,
};
use serde_json::{Value, json};

use crate::support::round_trip;

#[test]
fn the_statuses_of_both_vocabularies_are_understood() {
    for (word, status) in [
        ("pending", SandboxStatus::Pending),
        ("provisioning", SandboxStatus::Provisioning),
        ("ready", SandboxStatus::Running),
        ("running", SandboxStatus::Running),
        ("degraded", SandboxStatus::Running),
        ("suspended", SandboxStatus::Stopped),
        ("stopped", SandboxStatus::Stopped),
        ("failed", SandboxStatus::Failed),
        ("expired", SandboxStatus::Expired),
        ("deleted", SandboxStatus::Deleted),
        ("hibernating", SandboxStatus::Other("hibernating".into())),
    ] {
        assert_eq!(SandboxStatus::from(word), status);
    }
    assert_eq!(round_trip::<SandboxStatus>(&json!("hibernating")), "hibernating");
}

#[test]
fn records_keep_what_this_version_does_not_know() {
    let sandbox = json!({"id": "s", "status": "running", "createdAt": "t", "region": "eu",
        "connection": {"sidecarUrl": "u", "authToken": "a", "edgeStatus": "failed"}});
    assert_eq!(round_trip::<Sandbox>(&sandbox), sandbox);
    let status = json!({"sessionId": "s", "state": "idle", "lastSeq": 1, "epoch": "e", "x": 1});
    assert_eq!(round_trip::<SessionStatus>(&status), status);
    let record = json!({"sessionId": "s", "turnId": "t", "state": "failed", "finalText": "",
        "parts": [], "tokenUsage": {"inputTokens": 1, "outputTokens": 2, "cost": 0.1},
        "error": {"message": "m", "code": "C", "details": {}}, "model": "demo", "firstSeq": 1,
        "lastSeq": 2, "startedAt": 3, "endedAt": 4, "x": 1});
    assert_eq!(round_trip::<TurnRecord>(&record), record);
    let result = json!({"finalText": "f", "tokenUsage": {"inputTokens": 1, "outputTokens": 2},
        "metadata": {"sessionId": "s", "turnId": "t", "traceId": "x"}, "timing": {}});
    assert_eq!(round_trip::<TurnResult>(&result), result);
}

#[test]
fn older_spellings_are_read() {
    let connection: Connection =
        serde_json::from_value(json!({"runtimeUrl": "u", "authToken": "a"})).unwrap();
    assert_eq!(connection.sidecar_url, "u");
    let resources: Resources = serde_json::from_value(json!({"cpu": 2, "memoryMb": 512})).unwrap();
    assert_eq!((resources.cpu_cores, resources.memory_mb), (Some(2.0), Some(512)));
    let create: CreateSandbox = serde_json::from_value(json!({})).unwrap();
    assert_eq!(create, CreateSandbox::default());
}

#[test]
fn a_sandboxs_place_is_read_by_both_of_its_names_at_once() {
    let both = json!({"sidecarUrl": "u", "runtimeUrl": "v", "authToken": "a",
        "authTokenExpiresAt": "2026-01-01T00:00:00.000Z"});
    let connection: Connection = serde_json::from_value(both.clone()).unwrap();
    assert_eq!(connection.sidecar_url, "u");
    assert_eq!(round_trip::<Connection>(&both), both);
    assert!(serde_json::from_value::<Connection>(json!({"authToken": "a"})).is_err());
}

#[test]
fn every_spelling_of_a_sandboxs_limits_means_the_same() {
    let read = |resources: Value| serde_json::from_value::<Resources>(resources).unwrap();
    for (cpu, memory) in [("cpuCores", "memoryMB"), ("cpu", "memoryMb"), ("cpu", "memory")] {
        let resources = read(json!({cpu: 0.5, memory: 256}));
        assert_eq!((resources.cpu_cores, resources.memory_mb), (Some(0.5), Some(256)));
        assert!(resources.extra.is_empty(), "{resources:?}");
    }
    for storage in ["storageMb", "storageMB", "storage"] {
        assert_eq!(read(json!({storage: 512})).storage_mb, Some(512));
    }
    assert_eq!(read(json!({"diskGB": 0.5})).disk_gb, Some(0.5));
}

#[test]
fn what_a_sandbox_is_made_with_does_not_show() {
    let create: CreateSandbox = serde_json::from_value(json!({
        "env": {"TOKEN": "secret"}, "backend": {"type": "opencode", "apiKey": "secret"},
        "git": {"url": "u", "auth": {"token": "secret"}}, "secrets": ["NAME"], "metadata": {"a": "secret"},
    }))
    .unwrap();
    let shown = format!("{create:?}");
    assert!(!shown.contains("secret\"") && shown.contains("TOKEN"), "{shown}");
    let project: CreateProject = serde_json::from_value(json!({
        "container": {"env": {"TOKEN": "secret"}},
        "backend": {"authFiles": [{"path": "a", "content": "secret"}]},
    }))
    .unwrap();
    assert!(!format!("{project:?}").contains("secret\""));
}

#[test]
fn a_connections_token_does_not_show() {
    let connection: Connection =
        serde_json::from_value(json!({"sidecarUrl": "u", "authToken": "secret"})).unwrap();
    assert!(!format!("{connection:?}").contains("secret"));
}
