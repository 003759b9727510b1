//! What may be asked of a sandbox.

use std::collections::BTreeMap;

use sandbox_sdk::types::{CreateSandbox, Resources};

use super::SandboxError;
use crate::{driver::Limits, sidecar::is_variable_name};

const MAX_ENV_BYTES: usize = 64 * 1024;
const MAX_METADATA_BYTES: usize = 16 * 1024;
const MAX_TEXT: usize = 255;
/// A week.
const MAX_SECONDS: u64 = 7 * 24 * 3600;
const MEMORY_MB: std::ops::RangeInclusive<u64> = 64..=16_384;
const DISK_MB: std::ops::RangeInclusive<f64> = 16.0..=65_536.0;
const CPU_CORES: std::ops::RangeInclusive<f64> = 0.05..=64.0;

/// Refuses what no driver could fulfil or what smells of an attack.
pub(super) fn check(request: &CreateSandbox) -> Result<(), SandboxError> {
    check_env(&request.env)?;
    for (what, text) in [("name", &request.name), ("idempotencyKey", &request.idempotency_key)] {
        if text.as_ref().is_some_and(|text| {
            text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control)
        }) {
            return invalid(format!(
                "{what} must be 1 to {MAX_TEXT} bytes without control characters"
            ));
        }
    }
    if request.image.as_ref().is_some_and(|image| !is_image_name(image)) {
        return invalid("image is not the name of an image");
    }
    for (what, seconds) in [
        ("idleTimeoutSeconds", request.idle_timeout_seconds),
        ("maxLifetimeSeconds", request.max_lifetime_seconds),
    ] {
        if seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_SECONDS) {
            return invalid(format!("{what} must be between 1 and {MAX_SECONDS}"));
        }
    }
    let metadata = request.metadata.as_ref().map_or(0, |value| value.to_string().len());
    if metadata > MAX_METADATA_BYTES {
        return invalid(format!("metadata must not be larger than {MAX_METADATA_BYTES} bytes"));
    }
    if request.extra.contains_key("mounts") {
        return invalid("mounts can't be asked for: a sandbox sees its own workspace only");
    }
    limits(request.resources.as_ref()).map(drop)
}

/// The limits that the resources ask for; the driver's own where they ask for nothing.
pub(super) fn limits(resources: Option<&Resources>) -> Result<Limits, SandboxError> {
    let mut limits = Limits::default();
    let Some(resources) = resources else { return Ok(limits) };
    if let Some(memory) = resources.memory_mb {
        if !MEMORY_MB.contains(&memory) {
            return invalid(format!("resources.memoryMB must be in {MEMORY_MB:?}"));
        }
        limits.memory_mb = memory;
    }
    if let Some(disk) = resources.disk_gb {
        let disk = disk * 1024.0;
        if !DISK_MB.contains(&disk) {
            return invalid("resources.diskGB must be between 0.016 and 64");
        }
        limits.disk_mb = disk as u64;
        limits.max_file_mb = limits.max_file_mb.min(limits.disk_mb);
    }
    if let Some(cores) = resources.cpu_cores {
        if !CPU_CORES.contains(&cores) {
            return invalid(format!("resources.cpuCores must be in {CPU_CORES:?}"));
        }
        limits.cpu_cores = cores;
    }
    Ok(limits)
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), SandboxError> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_ENV_BYTES {
        return invalid(format!("env must not be larger than {MAX_ENV_BYTES} bytes"));
    }
    for (name, value) in env {
        if name.len() > MAX_TEXT || !is_variable_name(name) || value.contains('\0') {
            return invalid("env has a name or a value that no program could take");
        }
        // They would load code into the process above each command, which ends what it started.
        if name.starts_with("LD_") {
            return invalid("env must not set the dynamic linker's variables (LD_…)");
        }
    }
    Ok(())
}

fn is_image_name(image: &str) -> bool {
    image.len() <= MAX_TEXT
        && image.starts_with(|first: char| first.is_ascii_alphanumeric())
        && image.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, SandboxError> {
    Err(SandboxError::Invalid(message.into()))
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
        assert!(accepts(json!({"resources": {"cpu": 0.5, "memoryMb": 512, "diskGB": 0.5}})));
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
            json!({"env": {"LD_PRELOAD": "/workspace/evil.so"}}),
            json!({"resources": {"memoryMB": 1}}),
            json!({"resources": {"memoryMB": 18_446_744_073_709_551_615_u64}}),
            json!({"resources": {"memoryMB": -1}}),
            json!({"resources": {"cpuCores": 1e300}}),
            json!({"resources": {"diskGB": -3}}),
            json!({"mounts": ["/"]}),
            json!({"idleTimeoutSeconds": 0}),
            json!({"name": "a\u{0}"}),
        ] {
            assert!(!accepts(body.clone()), "{body}");
        }
    }
}
