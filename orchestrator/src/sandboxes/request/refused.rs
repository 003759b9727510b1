//! What may not be asked for, and what can't be had here.

use sandbox_sdk::types::{CreateSandbox, Extra};
use serde_json::Value;

use super::{super::SandboxError, driver, invalid};

/// What would let a sandbox reach out of itself. Compared without case, `-` and `_`.
const REACHING_OUT: &[&str] = &[
    "binds",
    "capadd",
    "cgroupparent",
    "devicerequests",
    "devices",
    "hostconfig",
    "hostipc",
    "hostnetwork",
    "hostpid",
    "ipcmode",
    "mounts",
    "networkmode",
    "pidmode",
    "privileged",
    "runtime",
    "securityopt",
    "sysctls",
    "user",
    "usernsmode",
    "volumes",
    "volumesfrom",
];

const NO_GPU: &str = "No sandbox here has a GPU.";
const ONE_HOST: &str =
    "All sandboxes run on the orchestrator's own machine: hosts can't be chosen.";

/// Fields that ask for something this orchestrator can't do, and why not. Without it the sandbox
/// would not be the one that was asked for. Compared without case, `-` and `_`.
const IMPOSSIBLE: &[(&str, &str, &str)] = &[
    ("bare", "bare sandboxes", "Every sandbox has its sidecar, and the agents that are installed."),
    ("permissions", "users", "A sandbox has one user, who owns everything in it."),
    ("authfiles", "auth files", "No provider's credentials enter a sandbox here."),
    ("gpurequired", "gpu", NO_GPU),
    ("gpucount", "gpu", NO_GPU),
    ("enablecriu", "criu", "CRIU does not work inside a sandbox here."),
    ("minhostspecs", "choice of hosts", ONE_HOST),
    ("targethostids", "choice of hosts", ONE_HOST),
];

pub(super) fn check(request: &CreateSandbox) -> Result<(), SandboxError> {
    let nested = ["driver", "container"].into_iter().filter_map(|field| request.extra.get(field));
    let backend = request.backend.as_ref().map(|backend| &backend.extra);
    let resources = request.resources.as_ref().map(|resources| &resources.extra);
    let places = [Some(&request.extra), resources, backend].into_iter().flatten();
    for place in places.chain(nested.filter_map(Value::as_object)) {
        check_fields(place)?;
    }
    driver(request).map(drop)
}

fn check_fields(fields: &Extra) -> Result<(), SandboxError> {
    for (field, value) in fields {
        let plain = plain(field);
        if REACHING_OUT.contains(&plain.as_str()) && asks(value) {
            return invalid(format!(
                "{field} can't be asked for: a sandbox sees and reaches its own only"
            ));
        }
        if let Some(&(_, feature, reason)) = impossible(&plain)
            && requires(value)
        {
            return Err(SandboxError::NotImplemented { feature, reason: reason.to_owned() });
        }
    }
    Ok(())
}

fn plain(field: &str) -> String {
    field.chars().filter(|c| !matches!(c, '-' | '_')).collect::<String>().to_ascii_lowercase()
}

fn impossible(plain: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    IMPOSSIBLE.iter().find(|(name, ..)| *name == plain)
}

/// Whether a field asks for anything, however it is written.
pub(super) fn is_wanted(field: &str, value: &Value) -> bool {
    if impossible(&plain(field)).is_some() { requires(value) } else { asks(value) }
}

/// Whether a value asks for any of what can't be had: a count of 0, or an object of such, does not.
fn requires(value: &Value) -> bool {
    match value {
        Value::Number(count) => count.as_f64() != Some(0.0),
        Value::Object(fields) => fields.values().any(requires),
        value => asks(value),
    }
}

/// Whether a value asks for anything.
pub(super) fn asks(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(body: Value) -> Result<(), SandboxError> {
        check(&serde_json::from_value(body).unwrap())
    }

    #[test]
    fn whatever_reaches_out_of_the_sandbox_is_refused_however_it_is_written() {
        for field in REACHING_OUT.iter().copied().chain([
            "capAdd",
            "CAP_ADD",
            "security-opt",
            "hostNetwork",
            "hostPID",
            "ipc_mode",
            "volumesFrom",
        ]) {
            for body in [
                json!({field: true}),
                json!({field: ["x"]}),
                json!({"driver": {"type": "host-agent", field: "x"}}),
                json!({"resources": {field: {"a": 1}}}),
            ] {
                match checked(body.clone()) {
                    Err(SandboxError::Invalid(words)) => assert!(words.starts_with(field)),
                    other => panic!("{body}: {other:?}"),
                }
            }
            for nothing in [json!(false), json!([]), json!({}), json!(null), json!("")] {
                assert!(checked(json!({field: nothing})).is_ok(), "{field}: {nothing}");
            }
        }
    }

    #[test]
    fn what_can_not_be_done_is_refused_and_not_left_out() {
        for (field, value) in [
            ("bare", json!(true)),
            ("permissions", json!({"users": [{}]})),
            ("backend", json!({"type": "codex", "authFiles": [{"path": "a", "content": "b"}]})),
        ] {
            let refused = checked(json!({field: value}));
            assert!(matches!(refused, Err(SandboxError::NotImplemented { .. })), "{field}");
        }
        assert!(checked(json!({"git": null, "bare": false, "permissions": {}})).is_ok());
    }

    #[test]
    fn a_machine_that_is_not_this_one_is_refused_however_it_is_written() {
        for (feature, field, value) in [
            ("gpu", "gpuRequired", json!(true)),
            ("gpu", "gpu_required", json!(true)),
            ("gpu", "gpuCount", json!(2)),
            ("gpu", "gpu-count", json!(0.5)),
            ("criu", "enableCriu", json!(true)),
            ("criu", "enable_criu", json!(true)),
            ("choice of hosts", "minHostSpecs", json!({"cpuCores": 512})),
            ("choice of hosts", "min_host_specs", json!({"memory": {"gb": 1}})),
            ("choice of hosts", "targetHostIds", json!(["host-1"])),
            ("choice of hosts", "target_host_ids", json!("host-1")),
        ] {
            for body in [
                json!({"driver": {"type": "host-agent", field: value}}),
                json!({field: value}),
                json!({"resources": {field: value}}),
            ] {
                match checked(body.clone()) {
                    Err(SandboxError::NotImplemented { feature: told, .. }) => {
                        assert_eq!(told, feature, "{body}");
                    }
                    other => panic!("{body}: {other:?}"),
                }
            }
        }
        let nothing = json!({
            "type": "host-agent", "gpuRequired": false, "gpuCount": 0, "enableCriu": false,
            "minHostSpecs": {"cpuCores": 0, "gpu": false}, "targetHostIds": [],
        });
        assert!(checked(json!({"driver": nothing})).is_ok());
    }
}
