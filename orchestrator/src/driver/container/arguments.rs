//! What the engine is told to run.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, getgid, getrlimit, getuid};

use super::{
    Shared, door,
    facts::{Facts, GVISOR},
    image::Image,
    libraries::Libraries,
};
use crate::{
    driver::{DriverKind, SandboxSpec, folders},
    sidecar::{self, calls},
};

/// Labels of our containers: whose they are, and which driver's.
pub(super) const OWNER: &str = "dev.skein.orchestrator";
pub(super) const DRIVER: &str = "dev.skein.driver";
/// Names in the run folder of files that stand in the place of the image's own.
pub(super) const MADE_UP: [(&str, &str); 3] = [
    ("passwd", "/etc/passwd"),
    ("group", "/etc/group"),
    // Empty: it would load the image's code into the sidecar.
    ("preload", "/etc/ld.so.preload"),
];
/// Folders in memory that every container has.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Variables by which an image could have its code loaded into the sidecar.
const LINKERS: [&str; 3] = ["LD_AUDIT", "LD_PRELOAD", "GLIBC_TUNABLES"];

/// More than sandboxes of one user have together.
const MANY_PROCESSES: u64 = 16_384;
/// Threads of gVisor's for each process inside, at the most.
const GVISOR_THREADS: u64 = 16;

/// Who the container's processes are, inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The same outside, though the engine would give it another.
    is_kept: bool,
}

impl Identity {
    /// `leased`: the uid that the sandbox was given for itself.
    pub(super) fn of(leased: Option<u32>, is_podman: bool, is_rootless: bool) -> Self {
        match leased {
            Some(uid) => Self { uid, gid: uid, is_kept: false },
            // The user who started the engine is nobody less inside: the files are theirs.
            None if is_rootless && !is_podman => Self { uid: 0, gid: 0, is_kept: false },
            None => {
                let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
                Self { uid, gid, is_kept: is_rootless }
            }
        }
    }
}

/// A container to be made.
pub(super) struct Order<'a> {
    pub(super) name: &'a str,
    pub(super) spec: &'a SandboxSpec,
    pub(super) image: &'a Image,
    /// The image's.
    pub(super) volumes: &'a BTreeSet<String>,
    pub(super) identity: Identity,
    pub(super) facts: &'a Facts,
    pub(super) libraries: &'a Libraries,
}

impl Order<'_> {
    /// Arguments of the engine's program.
    pub(super) fn arguments(&self, shared: &Shared) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        arguments.add(&["run", "--detach", "--pull", "never", "--name", self.name]);
        arguments.pair("--label", &format!("{OWNER}={}", shared.owner));
        arguments.pair("--label", &format!("{DRIVER}={}", shared.kind.name()));
        self.isolate(&mut arguments, shared);
        self.limit(&mut arguments, shared);
        self.show(&mut arguments, &shared.ground.sidecar_binary);
        // What it prints is little, and read when it does not come up.
        arguments.add(&["--log-driver", "json-file", "--log-opt", "max-size=64k"]);
        arguments.add(&["--hostname", "sandbox", "--workdir", sidecar::WORKSPACE]);
        // Its value is in the environment of the engine's program.
        arguments.pair("--env", calls::KEY_VARIABLE);
        for name in LINKERS {
            arguments.pair("--env", &format!("{name}="));
        }
        let entry = if self.libraries.has_loader() {
            arguments.add(&["--entrypoint", sidecar::LOADER, &self.image.id]);
            sidecar::LOADING
        } else {
            arguments.add(&["--entrypoint", sidecar::BINARY_PATH, &self.image.id]);
            &[]
        };
        arguments.add(entry);
        arguments.add(&[sidecar::ARGUMENT, sidecar::Role::Call.as_str()]);
        arguments.0
    }

    fn isolate(&self, arguments: &mut Arguments, shared: &Shared) {
        let Identity { uid, gid, is_kept } = self.identity;
        arguments.pair("--user", &format!("{uid}:{gid}"));
        if is_kept {
            arguments.pair("--userns", "keep-id");
        }
        arguments.add(&["--network", "none", "--read-only", "--cap-drop", "ALL"]);
        arguments.add(&["--security-opt", "no-new-privileges", "--no-healthcheck"]);
        if Path::new("/sys/fs/selinux").exists() {
            // The sandbox's folders have the labels of the orchestrator's files.
            arguments.add(&["--security-opt", "label=disable"]);
        }
        if shared.engine.is_podman() {
            // Of its own accord it passes on its user's proxies, and adds folders without a limit.
            arguments.add(&["--http-proxy=false", "--read-only-tmpfs=false", "--systemd=false"]);
        }
        if shared.kind == DriverKind::Gvisor {
            arguments.pair("--runtime", GVISOR);
        }
    }

    fn limit(&self, arguments: &mut Arguments, shared: &Shared) {
        let (kind, is_podman) = (shared.kind, shared.engine.is_podman());
        let limits = &self.spec.limits;
        if self.facts.memory.is_some() {
            let memory = format!("{}m", limits.memory_mb);
            // As much with swap as without: there is none.
            arguments.add(&["--memory", &memory, "--memory-swap", &memory]);
        }
        if self.facts.processes.is_some() {
            // gVisor's kernel is a process of the host, and each of its threads counts.
            let each = if kind == DriverKind::Gvisor { GVISOR_THREADS } else { 1 };
            arguments.pair("--pids-limit", &(limits.processes * each).to_string());
        }
        if self.facts.cpu.is_some() {
            // Docker refuses more than there are.
            let cores = self.facts.cores.map_or(limits.cpu_cores, |c| limits.cpu_cores.min(c));
            arguments.pair("--cpus", &format!("{cores:.2}"));
        }
        if is_podman {
            // It would set limits of its own that are larger than this process's, which not everybody
            // may who is root. The sidecar sets those that matter.
            for (name, resource, wanted) in [
                ("nofile", Resource::Nofile, limits.open_files),
                ("nproc", Resource::Nproc, MANY_PROCESSES),
            ] {
                let most = getrlimit(resource).maximum.unwrap_or(u64::MAX).min(wanted);
                arguments.pair("--ulimit", &format!("{name}={most}:{most}"));
            }
        }
        let size = limits.tmpfs_mb();
        arguments.pair("--shm-size", &format!("{size}m"));
        // An image's volumes would be folders of the host, without a limit.
        let own = [sidecar::WORKSPACE, sidecar::HOME, sidecar::OTHER_HOME];
        let volumes = self.volumes.iter().map(String::as_str);
        let volumes = volumes.filter(|volume| !own.contains(volume) && !TEMPORARY.contains(volume));
        for folder in TEMPORARY.into_iter().chain(volumes) {
            let options = format!("rw,exec,nosuid,nodev,mode=1777,size={size}m");
            arguments.pair("--tmpfs", &format!("{folder}:{options}"));
        }
    }

    /// What of the host it sees.
    fn show(&self, arguments: &mut Arguments, sidecar_binary: &Path) {
        let (root, run) = (&self.spec.root, self.spec.root.join(folders::RUN));
        arguments.bind(sidecar_binary, sidecar::BINARY_PATH, true);
        for (path, target) in &self.libraries.files {
            arguments.bind(path, target, true);
        }
        for (name, target) in MADE_UP {
            arguments.bind(&run.join(name), target, true);
        }
        arguments.bind(&run.join(door::SOCKET), calls::DOOR_SOCKET, true);
        for (name, target) in
            [(folders::MODELS, sidecar::MODELS_SOCKET), (folders::NETWORK, sidecar::NETWORK_SOCKET)]
        {
            let socket = run.join(name);
            if socket.exists() {
                arguments.bind(&socket, target, true);
            }
        }
        arguments.bind(&root.join(folders::WORKSPACE), sidecar::WORKSPACE, false);
        for home in [sidecar::HOME, sidecar::OTHER_HOME] {
            arguments.bind(&root.join(folders::HOME), home, false);
        }
        for agent in &self.spec.agents {
            arguments.bind(&agent.source, &agent.place().to_string_lossy(), true);
        }
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, arguments: &[&str]) {
        self.0.extend(arguments.iter().map(OsString::from));
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.add(&[name, value]);
    }

    fn bind(&mut self, source: &Path, target: &str, is_read_only: bool) {
        let mut mount = OsString::from("type=bind,");
        mount.push(field("source", source.to_owned()));
        mount.push(",");
        mount.push(field("target", target.into()));
        if is_read_only {
            mount.push(",readonly");
        }
        self.0.extend(["--mount".into(), mount]);
    }
}

/// A field of a line of comma-separated values, which a path may break.
fn field(name: &str, path: PathBuf) -> OsString {
    let mut field = OsString::from(name);
    field.push("=");
    field.push(path);
    let text = field.to_string_lossy();
    if text.contains([',', '"', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_comma_stays_one_path() {
        assert_eq!(field("source", "/a b".into()), "source=/a b");
        assert_eq!(field("source", "/a,b".into()), "\"source=/a,b\"");
        assert_eq!(field("source", "/a\"b".into()), "\"source=/a\"\"b\"");
    }

    #[test]
    fn a_sandbox_is_its_own_user_or_the_one_who_started_all_of_it() {
        let leased = Identity::of(Some(400_007), false, false);
        assert_eq!((leased.uid, leased.gid), (400_007, 400_007));
        assert!(!leased.is_kept);
        let own = getuid().as_raw();
        assert_eq!(
            Identity::of(None, true, true),
            Identity { is_kept: true, ..Identity::of(None, true, false) }
        );
        assert_eq!(Identity::of(None, false, false).uid, own);
        // Of a rootless Docker, whose user is root inside and nobody else is anybody.
        assert_eq!(Identity::of(None, false, true).uid, 0);
    }
}
