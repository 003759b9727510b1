//! What the driver says about itself, for `GET …/driver` and the log.

use serde::Serialize;

use super::DriverKind;

/// What isolates the sandboxes, and how hard each limit is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriverReport {
    pub kind: DriverKind,
    pub version: String,
    /// `namespaces`: of the host's kernel, around the host's programs. `container`: the same around an
    /// image's. `gvisor`: a kernel of its own, in user space, around an image's.
    pub isolation: &'static str,
    /// `pool`: a uid of its own for each sandbox; `own`: the uid of the orchestrator.
    pub uid: &'static str,
    /// `proxy`: loopback only, and what each sandbox may reach goes through a proxy that decides on
    /// every connection.
    pub network: &'static str,
    pub limits: LimitsInForce,
    /// What a person who runs this should know.
    pub warnings: Vec<String>,
}

/// Who enforces which limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitsInForce {
    pub memory: Enforcement,
    pub processes: Enforcement,
    pub cpu: Enforcement,
    pub disk: Enforcement,
    pub file_size: Enforcement,
    pub open_files: Enforcement,
    /// What is kept of what a command prints.
    pub output: Enforcement,
    pub time: Enforcement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// The kernel, by control groups of version 2: exact.
    CgroupV2,
    /// The kernel, by control groups of version 1: exact.
    CgroupV1,
    /// The kernel, by resource limits: exact.
    Rlimit,
    /// The sidecar looks several times a second and kills what is over: can be overshot for a moment,
    /// and by what it can't see for longer.
    Watchdog,
    /// The sidecar: it ends a command with all that it started, and keeps no more of what it prints
    /// than it may.
    Sidecar,
    /// Not limited; commands run at a lower priority than the orchestrator.
    Nice,
}

impl LimitsInForce {
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = vec!["Sandboxes share the kernel with this machine.".to_owned()];
        if self.memory == Enforcement::Watchdog {
            warnings.push(
                "Memory is limited by a watchdog, because control groups are not delegated to this \
                 user: a sandbox can exceed its limit for a moment, and by what its sockets and \
                 pipes hold for longer."
                    .to_owned(),
            );
        }
        if self.processes == Enforcement::Rlimit {
            warnings.push(
                "Processes are limited by a resource limit, because control groups are not \
                 delegated to this user."
                    .to_owned(),
            );
        }
        if self.memory == Enforcement::CgroupV1 {
            warnings.push(
                "Limits are kept by control groups of version 1, which the kernel no longer \
                 develops."
                    .to_owned(),
            );
        }
        if self.cpu == Enforcement::Nice {
            warnings.push("The share of the processor is not limited.".to_owned());
        }
        warnings.push(
            "Disk use is limited by a watchdog: a sandbox can exceed its limit for a moment, and by \
             deleted files that it hides for longer."
                .to_owned(),
        );
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: Enforcement, processes: Enforcement, cpu: Enforcement) -> LimitsInForce {
        LimitsInForce {
            memory,
            processes,
            cpu,
            disk: Enforcement::Watchdog,
            file_size: Enforcement::Rlimit,
            open_files: Enforcement::Rlimit,
            output: Enforcement::Sidecar,
            time: Enforcement::Sidecar,
        }
    }

    #[test]
    fn whatever_is_not_limited_hard_is_warned_of() {
        use Enforcement::{CgroupV1, CgroupV2, Nice, Rlimit, Watchdog};
        let words = |limits: &LimitsInForce| limits.warnings().join("\n");
        let hard = words(&limits(CgroupV2, CgroupV2, CgroupV2));
        assert!(hard.contains("share the kernel") && hard.contains("Disk use"));
        assert!(!hard.contains("Memory") && !hard.contains("processor"));
        let soft = words(&limits(Watchdog, Rlimit, Nice));
        for expected in ["Memory is limited by a watchdog", "Processes are", "processor"] {
            assert!(soft.contains(expected), "{soft}");
        }
        assert!(words(&limits(CgroupV1, CgroupV1, CgroupV1)).contains("version 1"));
    }
}
