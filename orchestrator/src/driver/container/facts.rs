//! What an engine says of itself.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::engine::{Engine, PATIENCE};
use crate::{
    clock::{iso, now_ms},
    driver::{DriverError, DriverKind, DriverReport, Enforcement, LimitsInForce},
};

/// As which runtime gVisor is registered.
pub(super) const GVISOR: &str = "runsc";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    version: String,
    /// Of the machine, where no more may be asked for.
    pub(super) cores: Option<f64>,
    /// It runs as an ordinary user, and so do its containers.
    pub(super) is_rootless: bool,
    pub(super) memory: Option<Enforcement>,
    pub(super) processes: Option<Enforcement>,
    pub(super) cpu: Option<Enforcement>,
    /// When gVisor was built, as far as it says so.
    gvisor: Option<Built>,
}

/// A day, written as `20261231`: later ones are larger, and a year is 10 000.
type Built = u32;

/// `docker info`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerInfo {
    #[serde(default)]
    server_version: String,
    /// It answers also when there is nobody to answer for.
    #[serde(default)]
    server_errors: Vec<String>,
    #[serde(default)]
    memory_limit: bool,
    #[serde(default)]
    pids_limit: bool,
    #[serde(default)]
    cpu_cfs_quota: bool,
    #[serde(default, rename = "NCPU")]
    cores: u32,
    #[serde(default)]
    cgroup_version: String,
    #[serde(default)]
    security_options: Option<Vec<String>>,
    #[serde(default)]
    runtimes: BTreeMap<String, Runtime>,
}

impl DockerInfo {
    /// It has all containers' users be others outside (`userns-remap`), whom a sandbox's folders do not
    /// belong to. A rootless engine is not one of these.
    fn remaps_users(&self) -> bool {
        let options = self.security_options.iter().flatten();
        options.flat_map(|option| option.split(',')).any(|word| word == "name=userns")
    }
}

#[derive(Deserialize)]
struct Runtime {
    #[serde(default)]
    path: PathBuf,
}

/// `podman info`.
#[derive(Deserialize)]
struct PodmanInfo {
    host: PodmanHost,
    version: PodmanVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodmanHost {
    #[serde(default)]
    cgroup_version: String,
    #[serde(default)]
    service_is_remote: bool,
    /// None are listed for the first version of control groups.
    #[serde(default)]
    cgroup_controllers: Option<Vec<String>>,
    security: PodmanSecurity,
}

#[derive(Deserialize)]
struct PodmanSecurity {
    rootless: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PodmanVersion {
    version: String,
}

impl Facts {
    pub(super) async fn ask(engine: &Engine, kind: DriverKind) -> Result<Self, DriverError> {
        if engine.is_podman() {
            let info: PodmanInfo = engine.ask(&["info", "--format", "json"]).await?;
            return if info.host.service_is_remote {
                Err(engine.elsewhere("a remote service"))
            } else {
                Ok(info.into())
            };
        }
        let endpoint = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
        let endpoint = engine.call(&endpoint, PATIENCE).await?;
        if !endpoint.starts_with("unix://") {
            return Err(engine.elsewhere(&endpoint));
        }
        let info: DockerInfo = engine.ask(&["info", "--format", "{{json .}}"]).await?;
        if !info.server_errors.is_empty() {
            return Err(engine.error(info.server_errors.join(" ")));
        }
        if info.remaps_users() {
            return Err(DriverError::EngineRemapsUsers);
        }
        if kind != DriverKind::Gvisor {
            return Ok(info.into());
        }
        let runtime = info.runtimes.get(GVISOR).ok_or(DriverError::NoGvisor)?;
        let version = engine.version_of(&runtime.path).await;
        Ok(Self { gvisor: version.as_deref().and_then(built), ..info.into() })
    }

    pub(super) fn report(&self, kind: DriverKind, has_pool: bool) -> DriverReport {
        let limits = LimitsInForce {
            memory: self.memory.unwrap_or(Enforcement::Watchdog),
            processes: self.processes.unwrap_or(Enforcement::Nice),
            cpu: self.cpu.unwrap_or(Enforcement::Nice),
            disk: Enforcement::Watchdog,
            file_size: Enforcement::Rlimit,
            open_files: Enforcement::Rlimit,
            output: Enforcement::Sidecar,
            time: Enforcement::Sidecar,
        };
        let is_gvisor = kind == DriverKind::Gvisor;
        let mut warnings = limits.warnings();
        if is_gvisor {
            warnings.retain(|words| !words.contains("share the kernel"));
            warnings.push(
                "The number of processes is limited only roughly: gVisor's own threads count."
                    .to_owned(),
            );
        }
        if self.gvisor.is_some_and(|built| built + 10_000 < today()) {
            warnings.push(
                "This gVisor is older than a year, and what was found in it since is not mended."
                    .to_owned(),
            );
        }
        if self.processes.is_none() {
            warnings.push("The number of processes is not limited.".to_owned());
        }
        if !self.is_rootless {
            warnings.push(
                "The engine runs as root: whoever may talk to it has this machine.".to_owned(),
            );
        }
        DriverReport {
            kind,
            version: self.version.clone(),
            isolation: if is_gvisor { "gvisor" } else { "container" },
            uid: if has_pool { "pool" } else { "own" },
            network: "proxy",
            limits,
            warnings,
        }
    }
}

impl From<DockerInfo> for Facts {
    fn from(info: DockerInfo) -> Self {
        let by = by_version(info.cgroup_version == "2");
        let options = info.security_options.unwrap_or_default();
        Self {
            version: info.server_version,
            cores: (info.cores > 0).then(|| f64::from(info.cores)),
            is_rootless: options.iter().any(|option| option.contains("name=rootless")),
            memory: info.memory_limit.then_some(by),
            processes: info.pids_limit.then_some(by),
            cpu: info.cpu_cfs_quota.then_some(by),
            gvisor: None,
        }
    }
}

impl From<PodmanInfo> for Facts {
    fn from(info: PodmanInfo) -> Self {
        let is_v2 = info.host.cgroup_version == "v2";
        let by = by_version(is_v2);
        let controllers = info.host.cgroup_controllers.unwrap_or_default();
        let is_rootless = info.host.security.rootless;
        let limits = |controller: &str| {
            // Version 1 is root's alone, and has them all.
            let has =
                if is_v2 { controllers.iter().any(|c| c == controller) } else { !is_rootless };
            has.then_some(by)
        };
        Self {
            version: info.version.version,
            cores: None,
            is_rootless,
            memory: limits("memory"),
            processes: limits("pids"),
            cpu: limits("cpu"),
            gvisor: None,
        }
    }
}

/// The day in a version such as `release-20221219.0`.
fn built(version: &str) -> Option<Built> {
    let numbers = version.split(|c: char| !c.is_ascii_digit());
    let mut days = numbers.filter(|number| number.len() == 8 && number.starts_with("20"));
    days.next()?.parse().ok()
}

fn today() -> Built {
    let digits: String = iso(now_ms()).chars().filter(char::is_ascii_digit).take(8).collect();
    digits.parse().unwrap_or_default()
}

fn by_version(is_v2: bool) -> Enforcement {
    if is_v2 { Enforcement::CgroupV2 } else { Enforcement::CgroupV1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_tells_which_limits_it_can_keep() {
        let info: DockerInfo = serde_json::from_str(
            r#"{"ServerVersion": "27.0", "MemoryLimit": true, "PidsLimit": false, "CpuCfsQuota": true,
                "NCPU": 4, "CgroupVersion": "2", "SecurityOptions": ["name=seccomp,profile=builtin"]}"#,
        )
        .unwrap();
        let facts = Facts::from(info);
        assert_eq!(facts.memory, Some(Enforcement::CgroupV2));
        assert_eq!((facts.processes, facts.cores), (None, Some(4.0)));
        assert!(!facts.is_rootless);
        let report = facts.report(DriverKind::Docker, true);
        let warnings = report.warnings.join(" ");
        assert!(warnings.contains("processes is not limited"), "{warnings}");
        assert!(warnings.contains("runs as root") && warnings.contains("share the kernel"));
        let gvisor = facts.report(DriverKind::Gvisor, true);
        assert!(!gvisor.warnings.join(" ").contains("share the kernel"));
    }

    #[test]
    fn users_that_are_others_outside_are_noticed_and_a_rootless_engine_is_not_taken_for_it() {
        let remaps = |options: &str| {
            let text = format!(r#"{{"ServerVersion": "27.0", "SecurityOptions": {options}}}"#);
            serde_json::from_str::<DockerInfo>(&text).unwrap().remaps_users()
        };
        assert!(remaps(r#"["name=apparmor", "name=seccomp,profile=builtin", "name=userns"]"#));
        for options in [r#"["name=seccomp,profile=userns", "name=rootless"]"#, "[]", "null"] {
            assert!(!remaps(options), "{options}");
        }
    }

    #[test]
    fn a_gvisor_of_yesteryear_is_warned_of() {
        assert_eq!(built("runsc version release-20221219.0\nspec: 1.0.2-dev"), Some(20_221_219));
        assert_eq!(built("runsc version 0.0~20221219.0"), Some(20_221_219));
        assert_eq!(built("runsc version unknown 123456789"), None);
        let info: DockerInfo = serde_json::from_str(r#"{"ServerVersion": "27.0"}"#).unwrap();
        let facts = Facts::from(info);
        for (built, is_old) in [(Some(20_221_219), true), (Some(today()), false), (None, false)] {
            let report = Facts { gvisor: built, ..facts.clone() }.report(DriverKind::Gvisor, true);
            assert_eq!(
                report.warnings.join(" ").contains("older than a year"),
                is_old,
                "{built:?}"
            );
        }
    }

    #[test]
    fn rootless_podman_keeps_no_limits_with_the_first_version_of_control_groups() {
        let info = |version: &str, rootless: bool| {
            let text = format!(
                r#"{{"host": {{"cgroupVersion": "{version}", "cgroupControllers": ["memory", "pids"],
                    "security": {{"rootless": {rootless}}}}}, "version": {{"Version": "5.0"}}}}"#
            );
            Facts::from(serde_json::from_str::<PodmanInfo>(&text).unwrap())
        };
        assert_eq!(info("v1", true).memory, None);
        assert_eq!(info("v1", false).memory, Some(Enforcement::CgroupV1));
        let delegated = info("v2", true);
        assert_eq!(delegated.memory, Some(Enforcement::CgroupV2));
        assert_eq!(delegated.cpu, None);
    }
}
