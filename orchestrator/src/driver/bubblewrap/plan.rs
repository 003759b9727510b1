//! What the launcher is told, and the arguments it gives to bubblewrap.

use std::{
    ffi::OsString,
    fs,
    os::fd::RawFd,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::folders;
use crate::{
    agents::AgentProgram,
    sidecar::{self, SidecarConfig},
};

/// Everything a launcher needs; it arrives on its standard input, where no other process can read it.
#[derive(Serialize, Deserialize)]
pub(crate) struct LaunchPlan {
    pub(super) bwrap: PathBuf,
    pub(super) sidecar_binary: PathBuf,
    /// The orchestrator's process id: without it there is nobody to launch for.
    pub(super) parent: u32,
    /// Uid to drop to; only root has one to give.
    pub(super) uid: Option<u32>,
    /// Control groups to join.
    pub(super) cgroups: Vec<PathBuf>,
    pub(super) payload: Payload,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Payload {
    /// The self-test.
    Probe,
    Serve {
        root: PathBuf,
        /// What the sandbox sees of the agents that are installed.
        agents: Vec<Bind>,
        tmpfs_mb: u64,
        config: Box<SidecarConfig>,
    },
}

/// Something of the host that a sandbox sees read-only.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Bind {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
}

impl Bind {
    pub(super) fn agent(agent: &AgentProgram) -> Self {
        Self { source: agent.source.clone(), target: agent.place() }
    }
}

/// Where the sandbox's own folders and the sidecar are found on the host when bubblewrap runs.
pub(super) struct Sources {
    pub(super) sidecar: PathBuf,
    pub(super) workspace: PathBuf,
    pub(super) home: PathBuf,
    /// The model gateway's socket, if there is one.
    pub(super) models: Option<PathBuf>,
    /// The socket of the proxy to the network, if there is one.
    pub(super) network: Option<PathBuf>,
    pub(super) agents: Vec<Bind>,
}

/// Open files that bubblewrap is handed.
pub(super) struct Handed {
    pub(super) status: RawFd,
    pub(super) seccomp: RawFd,
    /// Contents and where they go in the sandbox.
    pub(super) files: Vec<(RawFd, &'static str)>,
}

/// Uid and gid as they are seen inside.
const AGENT_ID: &str = "1000";

/// What of the host's `/etc` a sandbox sees: what programs need to start, make TLS connections and
/// know the time zone, and nothing that tells about the host.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];

/// Files of `/etc` that are made up, and the sidecar's configuration.
pub(super) fn made_up_files(config: Option<&SidecarConfig>) -> Vec<(Vec<u8>, &'static str)> {
    let mut files: Vec<(Vec<u8>, &'static str)> = [
        (
            "root:x:0:0:root:/:/usr/sbin/nologin\n\
             agent:x:1000:1000:Agent:/home/agent:/bin/bash\n\
             nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
            "/etc/passwd",
        ),
        ("root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n", "/etc/group"),
        ("127.0.0.1 localhost sandbox\n::1 localhost\n", "/etc/hosts"),
        ("sandbox\n", "/etc/hostname"),
        ("passwd: files\ngroup: files\nhosts: files\n", "/etc/nsswitch.conf"),
        ("", "/etc/resolv.conf"),
    ]
    .map(|(text, path)| (text.as_bytes().to_vec(), path))
    .into();
    if let Some(config) = config.and_then(|config| serde_json::to_vec(config).ok()) {
        files.push((config, sidecar::CONFIG_PATH));
    }
    files
}

/// Arguments up to the command.
pub(super) fn bwrap_arguments(
    payload: &Payload,
    sources: &Sources,
    handed: &Handed,
) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.add(&["--unshare-all", "--unshare-user", "--disable-userns"]);
    arguments.add(&["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]);
    arguments.add(&["--uid", AGENT_ID, "--gid", AGENT_ID, "--hostname", "sandbox"]);
    arguments.add(&["--json-status-fd", &handed.status.to_string()]);
    arguments.add(&["--seccomp", &handed.seccomp.to_string()]);
    system(&mut arguments);
    for (fd, path) in &handed.files {
        arguments.add(&["--perms", "0444", "--file", &fd.to_string(), path]);
    }
    arguments.add(&["--proc", "/proc", "--dev", "/dev"]);
    let tmpfs = match payload {
        Payload::Probe => 16,
        Payload::Serve { tmpfs_mb, .. } => *tmpfs_mb,
    };
    let size = (tmpfs << 20).to_string();
    for target in ["/tmp", "/dev/shm"] {
        arguments.add(&["--perms", "1777", "--size", &size, "--tmpfs", target]);
    }
    arguments.add(&["--dir", "/run", "--symlink", "/tmp", "/var/tmp"]);
    arguments.bind("--ro-bind", &sources.sidecar, sidecar::BINARY_PATH);
    if let Payload::Serve { .. } = payload {
        arguments.bind("--bind", &sources.workspace, sidecar::WORKSPACE);
        arguments.bind("--bind", &sources.home, sidecar::HOME);
        arguments.add(&["--symlink", sidecar::HOME, sidecar::OTHER_HOME]);
        arguments.add(&["--chdir", sidecar::WORKSPACE]);
    }
    if let Some(models) = &sources.models {
        arguments.bind("--bind", models, sidecar::MODELS_SOCKET);
    }
    if let Some(network) = &sources.network {
        arguments.bind("--bind", network, sidecar::NETWORK_SOCKET);
    }
    for agent in &sources.agents {
        arguments.0.extend(["--ro-bind".into(), agent.source.clone().into_os_string()]);
        arguments.0.push(agent.target.clone().into_os_string());
    }
    // Both are tmpfs without a size: writable, they would be a way around the memory limit.
    arguments.add(&["--remount-ro", "/dev", "--remount-ro", "/"]);
    arguments.0
}

/// The programs and libraries of the host, read-only.
fn system(arguments: &mut Arguments) {
    arguments.add(&["--ro-bind", "/usr", "/usr"]);
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let path = Path::new("/").join(name);
        // A link into /usr on most distributions, a folder of its own on some.
        if let Ok(target) = fs::read_link(&path) {
            arguments.0.extend(["--symlink".into(), target.into(), path.into()]);
        } else if path.is_dir() {
            arguments.bind("--ro-bind", &path, &format!("/{name}"));
        }
    }
    arguments.add(&["--ro-bind-try", "/nix/store", "/nix/store"]);
    for path in ETC {
        arguments.add(&["--ro-bind-try", path, path]);
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, arguments: &[&str]) {
        self.0.extend(arguments.iter().map(OsString::from));
    }

    fn bind(&mut self, kind: &str, source: &Path, target: &str) {
        self.0.extend([kind.into(), source.into(), target.into()]);
    }
}

impl Sources {
    /// The real places.
    pub(super) fn direct(plan: &LaunchPlan) -> Self {
        let root = match &plan.payload {
            Payload::Serve { root, .. } => root.as_path(),
            Payload::Probe => Path::new("/"),
        };
        Self {
            sidecar: plan.sidecar_binary.clone(),
            workspace: root.join(folders::WORKSPACE),
            home: root.join(folders::HOME),
            models: Some(root.join(folders::RUN).join(folders::MODELS))
                .filter(|path| path.exists()),
            network: Some(root.join(folders::RUN).join(folders::NETWORK))
                .filter(|path| path.exists()),
            agents: match &plan.payload {
                Payload::Serve { agents, .. } => agents.clone(),
                Payload::Probe => Vec::new(),
            },
        }
    }
}
