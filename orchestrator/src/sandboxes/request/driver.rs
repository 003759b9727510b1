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

/// All names that there are.
pub(crate) fn driver_names() -> Vec<&'static str> {
    NAMES.iter().map(|(name, _)| *name).collect()
}

/// Those that may be asked for where these drivers are enabled.
pub(in super::super) fn names_of(enabled: &[DriverKind]) -> Vec<&'static str> {
    let names = NAMES.iter().filter(|(_, kinds)| kinds.iter().any(|kind| enabled.contains(kind)));
    names.map(|(name, _)| *name).collect()
}

/// The drivers that will do: none for a name that nobody knows; `None`: any.
pub(in super::super) fn driver(
    request: &CreateSandbox,
) -> Result<Option<&'static [DriverKind]>, SandboxError> {
    let kind = match request.extra.get("driver") {
        Some(Value::Object(fields)) => fields.get("type"),
        kind => kind,
    };
    match kind.filter(|kind| asks(kind)) {
        None => Ok(None),
        Some(Value::String(kind)) => match NAMES.iter().find(|(name, _)| kind == name) {
            Some((_, kinds)) => Ok(Some(*kinds)),
            None => Ok(Some(&[])),
        },
        Some(_) => flawed("driver", "must be a driver's name, or an object with it as type"),
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
    fn no_driver_will_do_for_a_name_that_nobody_knows() {
        for value in [json!("firecracker"), json!({"type": "tangle"})] {
            assert_eq!(asked(value.clone()).unwrap(), Some(&[][..]), "{value}");
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

    #[test]
    fn names_are_told_of_the_drivers_that_are_enabled() {
        assert_eq!(names_of(&[Bubblewrap]), ["bubblewrap", "host-agent"]);
        let both = ["bubblewrap", "container", "docker", "host-agent", "podman"];
        assert_eq!(names_of(&[Bubblewrap, Podman]), both);
        assert_eq!(names_of(&[Bubblewrap, Docker, Podman, Gvisor]), driver_names());
    }
}
