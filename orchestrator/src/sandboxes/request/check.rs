//! What can be said of a request without asking anybody.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use sandbox_sdk::types::{CreateSandbox, UpdateSandbox};
use serde_json::Value;

use super::{super::SandboxError, NetworkAsk, Repository, flawed, limits, refused};
use crate::{
    profile::Profile,
    sidecar::{HOME, OTHER_HOME, WORKSPACE, is_variable_name},
};

/// In a sandbox's environment, names and values together.
pub(super) const MAX_ENV_BYTES: usize = 128 * 1024;
/// Of one variable. The kernel takes 128 KiB, and `PATH` grows by the folders of every sandbox.
const MAX_VARIABLE_BYTES: usize = 120 * 1024;
const MAX_METADATA_BYTES: usize = 16 * 1024;
const MAX_TEXT: usize = 255;
const MAX_SECRETS: usize = 64;
const MAX_TOOLS: usize = 16;
/// A week.
const MAX_SECONDS: u64 = 7 * 24 * 3600;

/// Refuses what no driver could fulfil or what smells of an attack.
pub(in super::super) fn check(request: &CreateSandbox) -> Result<(), SandboxError> {
    check_env(&request.env)?;
    check_text("name", request.name.as_deref())?;
    check_text("idempotencyKey", request.idempotency_key.as_deref())?;
    if request.image.as_ref().is_some_and(|image| !is_image_name(image)) {
        return flawed("image", "is not the name of an image");
    }
    check_seconds("idleTimeoutSeconds", request.idle_timeout_seconds)?;
    check_seconds("maxLifetimeSeconds", request.max_lifetime_seconds)?;
    check_metadata(request.metadata.as_ref())?;
    if request.secrets.len() > MAX_SECRETS {
        return flawed("secrets", format!("must not be more than {MAX_SECRETS}"));
    }
    refused::check(request)?;
    NetworkAsk::of(request)?;
    Repository::of(request)?;
    Profile::of(request.backend.as_ref()).map_err(SandboxError::Invalid)?;
    limits(request.resources.as_ref()).map(drop)
}

/// Tools and their versions: `{"node": "22"}`.
pub(in super::super) fn tools(
    request: &CreateSandbox,
) -> Result<Vec<(String, String)>, SandboxError> {
    let fields = match request.extra.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(fields)) if fields.len() <= MAX_TOOLS => fields,
        Some(_) => {
            let words = format!("must be an object that names at most {MAX_TOOLS} versions");
            return flawed("tools", words);
        }
    };
    let version = |value: &Value| match value {
        Value::String(version) => Some(version.clone()),
        // Of any other number nobody knows how it was written: 3.10 has become 3.1.
        Value::Number(version) if version.is_u64() => Some(version.to_string()),
        _ => None,
    };
    let tools = fields.iter().map(|(tool, value)| Some((tool.clone(), version(value)?)));
    let tools: Option<Vec<_>> = tools.collect();
    tools.ok_or_else(|| {
        SandboxError::Invalid("a tool's version must be a text or a whole number".to_owned())
    })
}

/// The same for a change. What can't be changed is refused, so that nobody believes it was.
pub(in super::super) fn check_update(update: &UpdateSandbox) -> Result<(), SandboxError> {
    if let Some(field) = update.extra.keys().next() {
        let field: String = field.chars().take(64).collect();
        let words = "is none that can be changed: these are name, idleTimeoutSeconds, \
                     maxLifetimeSeconds and metadata";
        return flawed(&field, words);
    }
    check_text("name", update.name.as_deref())?;
    check_seconds("idleTimeoutSeconds", update.idle_timeout_seconds)?;
    check_seconds("maxLifetimeSeconds", update.max_lifetime_seconds)?;
    check_metadata(update.metadata.as_ref())
}

fn check_text(what: &str, text: Option<&str>) -> Result<(), SandboxError> {
    if text.is_some_and(|text| {
        text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control)
    }) {
        return flawed(what, format!("must be 1 to {MAX_TEXT} bytes without control characters"));
    }
    Ok(())
}

fn check_seconds(what: &str, seconds: Option<u64>) -> Result<(), SandboxError> {
    if seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_SECONDS) {
        return flawed(what, format!("must be between 1 and {MAX_SECONDS}"));
    }
    Ok(())
}

fn check_metadata(metadata: Option<&Value>) -> Result<(), SandboxError> {
    if metadata.map_or(0, |value| value.to_string().len()) > MAX_METADATA_BYTES {
        let words = format!("must not be larger than {MAX_METADATA_BYTES} bytes");
        return flawed("metadata", words);
    }
    Ok(())
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), SandboxError> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_ENV_BYTES {
        return flawed("env", format!("must not be larger than {MAX_ENV_BYTES} bytes"));
    }
    for (name, value) in env {
        if name.len() > MAX_TEXT || !is_variable_name(name) || value.contains('\0') {
            return flawed("env", "has a name or a value that no program could take");
        }
        if name.len() + value.len() > MAX_VARIABLE_BYTES {
            let words = format!("must not be larger than {MAX_VARIABLE_BYTES} bytes");
            return flawed(&format!("env.{name}"), words);
        }
        // They would load code into the process above each command, which ends what it started.
        if name.starts_with("LD_") {
            return flawed("env", "must not set the dynamic linker's variables (LD_…)");
        }
        // Without these two hardly a command works, so that they have to make sense.
        if name == "PATH" && !value.split(':').all(|folder| folder.starts_with('/')) {
            return flawed(
                "env.PATH",
                "must be absolute folders with colons in between; those of every sandbox come \
                 after them by themselves",
            );
        }
        if name == "HOME" && !is_own_folder(Path::new(value)) {
            let words = format!("must be {WORKSPACE}, {HOME}, /tmp or below them");
            return flawed("env.HOME", words);
        }
    }
    Ok(())
}

fn is_own_folder(path: &Path) -> bool {
    let own = [WORKSPACE, HOME, OTHER_HOME, "/tmp"];
    let climbs = path.components().any(|part| part == Component::ParentDir);
    own.iter().any(|folder| path.starts_with(folder)) && !climbs
}

fn is_image_name(image: &str) -> bool {
    image.len() <= MAX_TEXT
        && image.starts_with(|first: char| first.is_ascii_alphanumeric())
        && image.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn accepts(body: serde_json::Value) -> bool {
        serde_json::from_value(body).is_ok_and(|request| check(&request).is_ok())
    }

    #[test]
    fn plain_requests_are_accepted() {
        assert!(accepts(json!({})));
        assert!(accepts(json!({"image": "ghcr.io/a/b:1.2@sha256:00", "env": {"A_1": "x\ny"}})));
        assert!(accepts(json!({"env": {"PATH": "/workspace/bin:/opt/x", "HOME": "/home/user"}})));
        assert!(accepts(json!({"env": {"A": "x".repeat(MAX_VARIABLE_BYTES - 1)}})));
        assert!(accepts(json!({"resources": {"cpu": 0.5, "memoryMb": 512, "diskGB": 0.5}})));
        assert!(accepts(json!({"backend": {"type": "opencode", "profile": "careful"}})));
    }

    #[test]
    fn requests_that_reach_for_more_are_refused() {
        for body in [
            json!({"image": "--privileged"}),
            json!({"image": "a b"}),
            json!({"image": "a\nb"}),
            json!({"env": {"A": "\0"}}),
            json!({"env": {"A=B": "x"}}),
            json!({"env": {"": "x"}}),
            json!({"env": {"A": "x".repeat(MAX_VARIABLE_BYTES)}}),
            json!({"env": {"LD_PRELOAD": "/workspace/evil.so"}}),
            json!({"env": {"PATH": "hunter2"}}),
            json!({"env": {"PATH": "/bin:"}}),
            json!({"env": {"HOME": ""}}),
            json!({"env": {"HOME": "/root"}}),
            json!({"env": {"HOME": "/workspace/../root"}}),
            json!({"resources": {"memoryMB": 1}}),
            json!({"resources": {"memoryMB": 18_446_744_073_709_551_615_u64}}),
            json!({"resources": {"memoryMB": -1}}),
            json!({"resources": {"cpuCores": 1e300}}),
            json!({"resources": {"diskGB": -3}}),
            json!({"resources": {"diskGB": 1, "storageMb": 1024}}),
            json!({"resources": {"storageMb": 1}}),
            json!({"mounts": ["/"]}),
            json!({"idleTimeoutSeconds": 0}),
            json!({"name": "a\u{0}"}),
            json!({"backend": {"profile": "reckless"}}),
            json!({"secrets": vec!["A"; 65]}),
        ] {
            assert!(!accepts(body.clone()), "{body}");
        }
    }

    #[test]
    fn only_what_can_be_changed_is_changed() {
        let accepts = |body: Value| {
            serde_json::from_value(body).is_ok_and(|update| check_update(&update).is_ok())
        };
        assert!(accepts(json!({"idleTimeoutSeconds": 60, "maxLifetimeSeconds": 60, "name": "a"})));
        assert!(accepts(json!({})));
        for body in [
            json!({"env": {}}),
            json!({"idleTimeoutSeconds": 0}),
            json!({"maxLifetimeSeconds": MAX_SECONDS + 1}),
            json!({"name": ""}),
            json!({"metadata": "x".repeat(MAX_METADATA_BYTES)}),
        ] {
            assert!(!accepts(body.clone()), "{body}");
        }
    }
}
