//! What is asked to run the sandbox.

use sandbox_sdk::types::CreateSandbox;
use serde_json::Value;

use super::{super::SandboxError, flawed, refused::asks};
use crate::driver::DriverKind::{self, Bubblewrap, Docker, Gvisor, Podman};

/// The names that drivers go by, the protocol's among them, and what will do.
const NAMES: &[(&str, &[DriverKind])] = &[
    ("bubblewrap", &[Bubblewrap]),
    ("container", &[Docker, Podman, Gvisor]),
    ("docker", &[Docker, Podman]),
    ("gvisor", &[Gvisor]),
    ("host-agent", &[Bubblewrap]),
    ("podman", &[Podman]),
    ("runsc", &[Gvisor]),
];

/// The names that may be asked for.
pub(crate) fn driver_names() -> Vec<&'static str> {
    NAMES.iter().map(|(name, _)| *name).collect()
}

/// The drivers that will do; `None`: any.
pub(in super::super) fn driver(
    request: &CreateSandbox,
) -> Result<Option<&'static [DriverKind]>, SandboxError> {
    let kind = match request.extra.get("driver") {
        Some(Value::Object(fields)) => fields.get("type"),
        kind => kind,
    };
    match kind.filter(|kind| asks(kind)) {
        None => Ok(None),
        Some(Value::String(kind)) => NAMES
            .iter()
            .find(|(name, _)| kind == name)
            .map(|(_, kinds)| Some(*kinds))
            .ok_or_else(|| SandboxError::DriverNotAllowed(driver_names().join(", "))),
        Some(_) => {
            let names = driver_names().join(", ");
            flawed("driver", format!("must be a name, or an object with it as type: {names}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(value: Value) -> Result<Option<&'static [DriverKind]>, SandboxError> {
        driver(&serde_json::from_value(json!({"driver": value})).unwrap())
    }

    #[test]
    fn a_driver_is_asked_for_by_its_name_or_by_none() {
        for value in [json!({"type": null, "zone": "a"}), json!(null), json!({})] {
            assert_eq!(asked(value.clone()).unwrap(), None, "{value}");
        }
        assert_eq!(asked(json!("host-agent")).unwrap(), Some(&[Bubblewrap][..]));
        assert_eq!(asked(json!({"type": "docker"})).unwrap(), Some(&[Docker, Podman][..]));
    }

    #[test]
    fn a_driver_that_nobody_knows_is_not_allowed() {
        for value in [json!("firecracker"), json!({"type": "tangle"})] {
            let refused = asked(value.clone()).unwrap_err();
            assert!(matches!(refused, SandboxError::DriverNotAllowed(_)), "{value}");
            assert!(refused.to_string().contains("bubblewrap, container"), "{refused}");
        }
        for value in [
            json!({"type": {"x": 1}}),
            json!({"type": ["host-agent"]}),
            json!(["host-agent"]),
            json!(7),
        ] {
            let refused = asked(value.clone());
            assert!(matches!(refused, Err(SandboxError::Flawed(_))), "{value}");
        }
    }
}
