//! Finds bubblewrap and proves that it isolates, by a sandbox that looks around in itself.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{
    DriverError, DriverReport, Ground, Lease, Shared,
    cgroup::Hierarchy,
    plan::{LaunchPlan, Payload},
    running::Launched,
    spawner::Spawner,
};
use crate::{
    driver::{DriverKind, Enforcement, LimitsInForce},
    sidecar::{Findings, Kernel},
};

const PLACES: &[&str] =
    &["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/current-system/sw/bin/bwrap"];
/// The first version that can forbid user namespaces inside and size a tmpfs.
const OLDEST: (u32, u32) = (0, 8);
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn probe(ground: Ground) -> Result<Shared, DriverError> {
    let bwrap = PLACES.iter().map(PathBuf::from).find(|path| path.exists());
    let bwrap = bwrap.ok_or(DriverError::BubblewrapMissing)?;
    let version = version(&bwrap).await?;
    let cgroups = Hierarchy::detect();
    let spawner = Spawner::new().map_err(DriverError::io("the spawner cannot be started"))?;
    let report = report(version, ground.has_pool(), &cgroups);
    let shared = Shared { bwrap, ground, cgroups, report, spawner };
    self_test(&shared).await?;
    Ok(shared)
}

async fn version(bwrap: &Path) -> Result<String, DriverError> {
    let run = Command::new(bwrap).arg("--version").env_clear().kill_on_drop(true).output();
    let output = timeout(PATIENCE, run)
        .await
        .map_err(|_| DriverError::Start("`bwrap --version` does not end".into()))?
        .map_err(DriverError::io("bubblewrap cannot be started"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().last().unwrap_or_default().to_owned();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST {
        return Err(DriverError::Start(format!(
            "bubblewrap {version} is too old; version 0.8 or later is needed"
        )));
    }
    Ok(version)
}

async fn self_test(shared: &Shared) -> Result<(), DriverError> {
    let lease = shared.ground.any()?;
    let plan = LaunchPlan {
        bwrap: shared.bwrap.clone(),
        sidecar_binary: shared.ground.sidecar_binary.clone(),
        parent: std::process::id(),
        uid: lease.as_ref().map(Lease::uid),
        cgroups: Vec::new(),
        payload: Payload::Probe,
    };
    let launched = Launched::start(shared, &plan).await?;
    let (output, errors) = timeout(PATIENCE, launched.finish())
        .await
        .map_err(|_| DriverError::Start("the self-test does not end".into()))?;
    let findings = output.iter().find_map(|line| serde_json::from_str::<Findings>(line).ok());
    match findings {
        Some(findings) => findings.verdict(Kernel::Shared).map_err(DriverError::NotIsolated),
        None => Err(DriverError::from_output(&errors)),
    }
}

fn report(version: String, root: bool, cgroups: &Hierarchy) -> DriverReport {
    let limits = LimitsInForce {
        memory: cgroups.memory(),
        processes: cgroups.processes(),
        cpu: cgroups.cpu(),
        disk: Enforcement::Watchdog,
        file_size: Enforcement::Rlimit,
        open_files: Enforcement::Rlimit,
        output: Enforcement::Sidecar,
        time: Enforcement::Sidecar,
    };
    DriverReport {
        kind: DriverKind::Bubblewrap,
        version,
        isolation: "namespaces",
        uid: if root { "pool" } else { "own" },
        network: "proxy",
        warnings: limits.warnings(),
        limits,
    }
}
