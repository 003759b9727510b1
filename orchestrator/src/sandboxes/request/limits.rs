//! The limits that a request asks for.

use sandbox_sdk::types::Resources;

use super::{super::SandboxError, flawed};
use crate::driver::{Enforcement, Limits, LimitsInForce};

const MEMORY_MB: std::ops::RangeInclusive<u64> = 64..=16_384;
const DISK_MB: std::ops::RangeInclusive<f64> = 16.0..=65_536.0;
const CPU_CORES: std::ops::RangeInclusive<f64> = 0.05..=64.0;

/// The limits that the resources ask for; the driver's own where they ask for nothing.
pub(in super::super) fn limits(resources: Option<&Resources>) -> Result<Limits, SandboxError> {
    let mut limits = Limits::default();
    let Some(resources) = resources else { return Ok(limits) };
    if let Some(memory) = resources.memory_mb {
        if !MEMORY_MB.contains(&memory) {
            let words = format!("must be between {} and {}", MEMORY_MB.start(), MEMORY_MB.end());
            return flawed("resources.memoryMB", words);
        }
        limits.memory_mb = memory;
    }
    let disk = match (resources.disk_gb, resources.storage_mb) {
        (Some(_), Some(_)) => {
            return flawed("resources", "must have diskGB or storageMb, not both");
        }
        (Some(gb), None) => Some(gb * 1024.0),
        // No disk is so large that this would lose a megabyte.
        (None, megabytes) => megabytes.map(|megabytes| megabytes as f64),
    };
    if let Some(disk) = disk {
        if !DISK_MB.contains(&disk) {
            return match resources.disk_gb {
                Some(_) => flawed("resources.diskGB", "must be between 0.016 and 64"),
                None => flawed("resources.storageMb", "must be between 16 and 65536"),
            };
        }
        limits.disk_mb = disk as u64;
        limits.max_file_mb = limits.max_file_mb.min(limits.disk_mb);
    }
    if let Some(cores) = resources.cpu_cores {
        if !CPU_CORES.contains(&cores) {
            let words = format!("must be between {} and {}", CPU_CORES.start(), CPU_CORES.end());
            return flawed("resources.cpuCores", words);
        }
        limits.cpu_cores = cores;
    }
    Ok(limits)
}

/// Refuses `strict` resources where the kernel does not keep what they name; all of them, if they
/// name none.
pub(in super::super) fn check_hard(
    resources: Option<&Resources>,
    in_force: &LimitsInForce,
) -> Result<(), SandboxError> {
    let Some(resources) = resources.filter(|resources| resources.strict) else { return Ok(()) };
    let has_disk = resources.disk_gb.is_some() || resources.storage_mb.is_some();
    let mut limits = vec![
        ("memory", in_force.memory, resources.memory_mb.is_some()),
        ("cpu", in_force.cpu, resources.cpu_cores.is_some()),
        ("disk", in_force.disk, has_disk),
        ("processes", in_force.processes, false),
    ];
    if limits.iter().any(|(_, _, named)| *named) {
        limits.retain(|(_, _, named)| *named);
    }
    limits.retain(|(_, enforcement, _)| !is_hard(*enforcement));
    let soft: Vec<_> = limits.into_iter().map(|(name, _, _)| name).collect();
    if soft.is_empty() { Ok(()) } else { Err(SandboxError::NotHard(soft)) }
}

/// The kernel keeps it, and exactly.
fn is_hard(enforcement: Enforcement) -> bool {
    match enforcement {
        Enforcement::CgroupV2 | Enforcement::CgroupV1 | Enforcement::Rlimit => true,
        Enforcement::Watchdog | Enforcement::Sidecar | Enforcement::Nice => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn soft(resources: Value, in_force: &LimitsInForce) -> Vec<&'static str> {
        let resources = serde_json::from_value(resources).unwrap();
        match check_hard(Some(&resources), in_force) {
            Ok(()) => Vec::new(),
            Err(SandboxError::NotHard(soft)) => soft,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn hard_limits_that_are_not_there_are_refused_by_name() {
        let in_force = LimitsInForce {
            memory: Enforcement::Watchdog,
            processes: Enforcement::Rlimit,
            cpu: Enforcement::CgroupV1,
            disk: Enforcement::Watchdog,
            file_size: Enforcement::Rlimit,
            open_files: Enforcement::Rlimit,
            output: Enforcement::Sidecar,
            time: Enforcement::Sidecar,
        };
        assert_eq!(soft(json!({"memoryMB": 256}), &in_force), Vec::<&str>::new());
        assert_eq!(soft(json!({"strict": true, "memoryMB": 256}), &in_force), ["memory"]);
        assert_eq!(soft(json!({"strict": true, "cpu": 1}), &in_force), Vec::<&str>::new());
        assert_eq!(soft(json!({"strict": true, "storage": 64, "cpu": 1}), &in_force), ["disk"]);
        assert_eq!(soft(json!({"strict": true}), &in_force), ["memory", "disk"]);
    }

    #[test]
    fn a_disk_is_asked_for_in_gigabytes_or_in_megabytes() {
        let disk = |resources: Value| {
            let resources = serde_json::from_value(resources).unwrap();
            limits(Some(&resources)).unwrap().disk_mb
        };
        assert_eq!(disk(json!({"diskGB": 0.5})), 512);
        assert_eq!(disk(json!({"storageMb": 300})), 300);
        assert_eq!(disk(json!({})), Limits::default().disk_mb);
    }
}
