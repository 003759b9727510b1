//! What is told of drivers.

use super::shape::{Shape, always, fields, flag, list, named, or_null, text, told, whole, word};

const KINDS: [&str; 4] = ["bubblewrap", "docker", "podman", "gvisor"];
/// The protocol's words for them.
const TYPES: [&str; 2] = ["host-agent", "docker"];

/// What isolates one sandbox.
pub(super) fn of_sandbox() -> Shape {
    let uid = "`pool`: a uid of its own for each sandbox; `own`: the uid of the orchestrator.";
    let isolation = "`namespaces` and `container` share the machine's kernel, `gvisor` does not.";
    let network = "`proxy`: every connection to the outside goes through one that decides on it.";
    let capacity = [always("available", whole()), always("total", whole())];
    fields([
        always("type", word(TYPES)),
        always("kind", word(KINDS)),
        always("available", flag()),
        always("version", text()),
        always("isolation", told(word(["namespaces", "container", "gvisor"]), isolation)),
        always("uid", told(text(), uid)),
        always("network", told(text(), network)),
        always("limits", limits()),
        always("warnings", told(list(text()), "What who runs this should know.")),
        always("capacity", told(fields(capacity), "Sandboxes that may run at once.")),
        always("capabilities", named(flag())),
    ])
}

/// One of those that may be asked for.
pub(super) fn listed() -> Shape {
    fields([
        always("type", word(TYPES)),
        always("kind", word(KINDS)),
        always("available", flag()),
        always("reason", told(or_null(text()), "Why it is not available.")),
        always("version", or_null(text())),
        always("capabilities", named(flag())),
    ])
}

/// Who enforces which limit.
fn limits() -> Shape {
    let words = "`cgroup-v2`, `cgroup-v1` and `rlimit`: the kernel, exactly. `watchdog`: looked at \
                 several times a second. `sidecar`: by who runs the command. `nice`: not limited.";
    let by = || word(["cgroup-v2", "cgroup-v1", "rlimit", "watchdog", "sidecar", "nice"]);
    let names = ["memory", "processes", "cpu", "disk", "fileSize", "openFiles", "output", "time"];
    told(fields(names.map(|name| always(name, by()))), words)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use serde_json::json;

    use super::*;
    use crate::driver::DriverKind;

    #[test]
    fn every_driver_has_its_words() {
        let kinds: Vec<_> = DriverKind::value_variants().iter().map(|kind| json!(kind)).collect();
        assert_eq!(json!(KINDS), json!(kinds));
        for kind in DriverKind::value_variants() {
            assert!(TYPES.contains(&kind.protocol_type()), "{kind:?}");
        }
    }
}
